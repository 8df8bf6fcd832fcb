"""The command line: every command with its arguments. Imports nothing but argparse, so that `--help` answers at once."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False  # not from typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

KINDS = ("detector", "generator", "annotator", "data-source")
"""What `synthbench new` can write."""


def parser() -> argparse.ArgumentParser:
    """The parser. What it returns has `command`, as `MODULE:FUNCTION` of this package."""
    from synthbench import __version__
    from synthbench.cli.data_parser import add_data

    top = argparse.ArgumentParser(prog="synthbench", description="Can generated images replace the photographs you don't have?")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        add_init,
        add_run,
        add_plan,
        add_data,
        add_status,
        add_plugins,
        add_report,
        add_new,
        add_check,
        add_env,
        add_stores,
        add_compare,
        add_label,
        add_bundle,
        add_verify,
        add_leaderboard,
        add_export,
    ):
        add(commands)
    return top


def add_suite(command: argparse.ArgumentParser) -> None:
    """The arguments of commands that read a suite."""
    command.add_argument("suite", help="a TOML file")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value, as in data.path=photos")
    add_labels(command)
    add_store(command)


def add_labels(command: argparse._ActionsContainer) -> None:
    """The argument of commands that ask people for labels, or read them."""
    command.add_argument("--labels", default="labels", help="where labels by people are asked for and kept (default: %(default)s)")


def add_store(command: argparse._ActionsContainer) -> None:
    """The arguments of commands that open a store."""
    command.add_argument(
        "--store", default=".synthbench", help="where artifacts are kept: a folder, or s3://BUCKET/PREFIX (default: %(default)s)"
    )
    command.add_argument("--trust-store", action="store_true", help="use a store that another user or machine made; it may be forged")


def add_machine(command: argparse._ActionsContainer) -> None:
    """The arguments of commands that run experiments: where, and what is allowed."""
    command.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: an accelerator where there is one)")
    command.add_argument("--engine", default="local", help="what runs the stages: local (worker processes on this machine), ray, slurm")
    command.add_argument("--address", default="", help="of a Ray cluster (default: RAY_ADDRESS, else one is started on this machine)")
    command.add_argument("--slurm", metavar="FILE", help="a TOML file with what stages ask SLURM for: see docs/clusters.md")
    command.add_argument("--workers", type=count, help="stages at a time (default: 1, else 2 without a GPU); for each GPU, if several")
    command.add_argument("--threads", type=count, help="processors for each stage (default: all, shared out among those at a time)")
    command.add_argument("--in-process", action="store_true", help="run stages in this process, for debugging; of one plugin distribution")
    command.add_argument("--minutes", type=float, metavar="N", help="start no stage after N minutes; run again to go on")
    command.add_argument("--make-environments", action="store_true", help="make the environments that plugins need, without asking")
    command.add_argument("--download", action="store_true", help="allow plugins to fetch weights and data")
    command.add_argument("--allow-pickle", action="store_true", help="open weights that are pickles, which run code: for those you trust")


def add_init(commands: Any) -> None:
    """`synthbench init`."""
    init = commands.add_parser("init", help="write a suite for a folder of photographs, or the example")
    init.add_argument("folder", nargs="?", help="with images/, train.json and test.json (COCO)")
    init.add_argument("--example", action="store_true", help="rendered scenes and small models, which needs no photographs")
    init.add_argument("-o", "--output", metavar="FILE", help="the suite to write (default: FOLDER.toml or example.toml)")
    init.set_defaults(command="init:command")


def add_run(commands: Any) -> None:
    """`synthbench run`."""
    run = commands.add_parser("run", help="run a suite and write its report")
    add_suite(run)
    run.add_argument("--out", default="reports", help="where the report goes (default: %(default)s)")
    add_machine(run)
    run.add_argument("--detach", action="store_true", help="go on without this shell: in a SLURM job, or in a process of its own")
    run.set_defaults(command="run:run_command")


def count(text: str) -> int:
    """A whole number from 1 on. Raises ValueError, which argparse reports."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def counts(text: str) -> list[int]:
    """Whole numbers from 1 on, between commas. Raises ValueError, which argparse reports."""
    return [count(each) for each in text.split(",")]


def add_plan(commands: Any) -> None:
    """`synthbench plan`."""
    plan = commands.add_parser("plan", help="say what a suite would do, and what of it is in the store already")
    add_suite(plan)
    plan.add_argument("--machines", type=counts, default=[], metavar="N,M,…", help="how long it would take on so many machines, as 1,4,16")
    plan.add_argument("--times", metavar="FILE", help="a TOML table of seconds by kind of stage, where the store has run none like them")
    plan.add_argument("--price", type=float, metavar="P", help="of a machine for an hour, in any currency: adds what the run would cost")
    plan.set_defaults(command="plan:command")


def add_status(commands: Any) -> None:
    """`synthbench status`."""
    status = commands.add_parser("status", help="say where runs are: which stages run, on which machine, and which failed")
    status.add_argument("--store", default=".synthbench", help="of the runs (default: %(default)s)")
    status.add_argument("--all", action="store_true", help="also runs that have ended (default: those that go on, else the last one)")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command="status:command")


def add_plugins(commands: Any) -> None:
    """`synthbench plugins`."""
    plugins = commands.add_parser("plugins", help="list the installed plugins, and those that are broken")
    plugins.add_argument("--json", action="store_true", help="for programs")
    plugins.set_defaults(command="plugins:command")


def add_report(commands: Any) -> None:
    """`synthbench report`."""
    report = commands.add_parser("report", help="make reports again from their stored results")
    report.add_argument("results", nargs="*", help="JSON files (default: all in reports/)")
    report.set_defaults(command="report:command")


def add_new(commands: Any) -> None:
    """`synthbench new`."""
    new = commands.add_parser("new", help="write a plugin of your own that runs at once")
    new.add_argument("kind", choices=KINDS, help="what the plugin is")
    new.add_argument("name", help="its name in suites: letters, digits, '-' and '_'")
    new.add_argument("--torch", action="store_true", help="a detector with a training loop in PyTorch (default: numpy only)")
    new.add_argument("--folder", help="where it goes (default: synthbench-NAME)")
    new.set_defaults(command="new:command")


def add_check(commands: Any) -> None:
    """`synthbench check`."""
    check = commands.add_parser("check", help="check whether a plugin keeps the contract, on toy pictures")
    check.add_argument("name", help="a plugin's name, or KIND:NAME if plugins of two kinds have that name")
    check.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option, besides or instead of its smoke_options"
    )
    check.add_argument("--make-environments", action="store_true", help="make the environment that it needs, without asking")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(command="check:command")


def add_compare(commands: Any) -> None:
    """`synthbench compare`."""
    compare = commands.add_parser("compare", help="compare two runs: what differs, and whether seeds and test images explain it")
    compare.add_argument("first", help="the JSON file beside a report, or a bundle")
    compare.add_argument("second", help="that of another")
    compare.add_argument("--json", action="store_true", help="for programs")
    compare.set_defaults(command="compare:command")


def add_label(commands: Any) -> None:
    """`synthbench label` with its own commands."""
    label = commands.add_parser("label", help="take labels by people, or say which are missing")
    parts = label.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = parts.add_parser("list", help="say what people were asked, and what they have answered")
    add_labels(listing)
    listing.set_defaults(command="label:list_command")
    taking = parts.add_parser("import", help="take the answers that a tool saved: Label Studio's JSON, COCO, YOLO or CVAT's XML")
    taking.add_argument("answers", nargs="+", help="files, or folders of YOLO")
    add_labels(taking)
    taking.add_argument("--partial", action="store_true", help="go on without the images that nobody has looked at")
    taking.add_argument(
        "--untouched",
        choices=("done", "skip"),
        default="",
        help="what an image counts as that has no box or just the boxes drawn before, if the format does not say whether somebody "
        "has looked at it: labelled, or not looked at",
    )
    taking.set_defaults(command="label:import_command")


def add_bundle(commands: Any) -> None:
    """`synthbench bundle`."""
    bundle = commands.add_parser("bundle", help="pack a report with its predictions, so that others can check it")
    bundle.add_argument("results", help="the JSON file beside the report")
    bundle.add_argument("-o", "--output", required=True, help="the .zip to write")
    bundle.add_argument("--by", default="", help="who submits it")
    bundle.add_argument("--date", default="", help="when, as YYYY-MM-DD")
    bundle.add_argument("--citation", default="", help="how to cite it")
    bundle.add_argument("--url", default="", help="where more is said of it")
    bundle.add_argument(
        "--weights-saw-data",
        choices=("yes", "no", "unknown"),
        default="unknown",
        help="whether the starting weights saw this data set or its like (default: %(default)s)",
    )
    truth = bundle.add_mutually_exclusive_group()
    truth.add_argument("--with-truth", action="store_true", default=None, help="the data may be passed on, whatever its licence is called")
    truth.add_argument("--without-truth", dest="with_truth", action="store_false", help="leave out true boxes and real images")
    add_store(bundle)
    bundle.set_defaults(command="publish:bundle_command")


def add_verify(commands: Any) -> None:
    """`synthbench verify`."""
    verify = commands.add_parser("verify", help="check a bundle: score its predictions again, and compare every number")
    verify.add_argument("bundle", help="a .zip that `synthbench bundle` wrote")
    verify.add_argument("--data", metavar="FOLDER", help="the folder of the data, if the bundle is without the true boxes or not trusted")
    verify.add_argument("--receipt", metavar="FOLDER", help="write what was found there, for `synthbench leaderboard --receipts`")
    verify.add_argument("--rerun", action="store_true", help="then run its experiment again with fresh seeds, and compare; takes long")
    rerun = verify.add_argument_group("with --rerun")
    rerun.add_argument("--replicates", type=count, metavar="N", help="how many times (default: as often as in the bundle)")
    rerun.add_argument("--first-seed", type=int, metavar="N", help="the first of the fresh seeds (default: after the bundle's highest)")
    rerun.add_argument("--set", action="append", default=[], metavar="KEY=PATH", help="where a file is that an option of the bundle names")
    rerun.add_argument("--out", help="also write the report of the re-run to this folder")
    add_store(rerun)
    add_machine(rerun)
    verify.set_defaults(command="publish:verify_command")


def add_leaderboard(commands: Any) -> None:
    """`synthbench leaderboard`."""
    board = commands.add_parser("leaderboard", help="merge bundles of one season into a leaderboard: Markdown, JSON, CSV and a static site")
    board.add_argument("bundle", nargs="*", help="what `synthbench bundle` wrote; those merged earlier need not be named again")
    board.add_argument("--out", required=True, metavar="FOLDER", help="the leaderboard; the first bundle of an empty one sets its season")
    board.add_argument(
        "--receipts", metavar="FOLDER", help="what `synthbench verify --receipt` wrote; without it an entry is self-reported"
    )
    board.add_argument("--title", default="", help="of a new leaderboard (default: the title of the first bundle's suite)")
    board.set_defaults(command="leaderboard:command")


def add_export(commands: Any) -> None:
    """`synthbench export`."""
    export = commands.add_parser("export", help="write the best generated set and the best detector of a report to a folder of your own")
    export.add_argument("results", help="the JSON file beside the report")
    export.add_argument("-o", "--output", required=True, metavar="FOLDER", help="a new folder")
    export.add_argument("--training-set", default="", metavar="NAME", help="the generated set to export (default: the best one)")
    export.add_argument("--detector", default="", metavar="NAME", help="the detector to export (default: the one with the highest AP)")
    export.add_argument("--trained-on", default="", metavar="NAME", help="the training set that the detector was trained on (default: any)")
    add_store(export)
    export.set_defaults(command="export:command")


def add_stores(commands: Any) -> None:
    """`synthbench store` with its own commands."""
    store = commands.add_parser("store", help="list, check, tidy and copy what is stored")
    parts = store.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = parts.add_parser("list", help="every artifact with its kind, key, size, age and label")
    listing.add_argument("--kind", help="of one kind only, such as train")
    showing = parts.add_parser("show", help="an artifact's record, as JSON: what it was made of, by what, and its files")
    showing.add_argument("key", help="or how it begins, also as KIND/KEY")
    check = parts.add_parser("check", help="compare every file with what was stored")
    check.add_argument(
        "--set-aside", action="store_true", help="rename damaged artifacts, as a run does: push and pull then copy whole ones"
    )
    clean = parts.add_parser("gc", help="remove damaged artifacts that were set aside, and what killed runs left; asks first")
    clean.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="SUITE_OR_REPORT",
        help="also remove every artifact but those that these suites (.toml) and reports (.json) need",
    )
    clean.add_argument("--yes", action="store_true", help="without asking")
    push = parts.add_parser("push", help="copy artifacts from --store to another store; what is there already is not copied again")
    pull = parts.add_parser("pull", help="copy artifacts from another store to --store")
    for command, direction in ((push, "to"), (pull, "from")):
        command.add_argument("other", metavar="STORE", help=f"the store {direction} which to copy: a folder, or an address")
        command.add_argument("only", nargs="*", metavar="SUITE_OR_REPORT", help="only what these need (default: everything)")
    for name, command in (("list", listing), ("show", showing), ("check", check), ("gc", clean), ("push", push), ("pull", pull)):
        add_store(command)
        command.set_defaults(command=f"store:{name}_command")


def add_env(commands: Any) -> None:
    """`synthbench env` with its own three commands."""
    env = commands.add_parser("env", help="list, show or remove the environments that plugins run in")
    parts = env.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = parts.add_parser("list", help="what there is")
    listing.set_defaults(command="environments:list_command")
    showing = parts.add_parser("show", help="what one contains, as JSON")
    showing.add_argument("name", help="or how it begins")
    showing.set_defaults(command="environments:show_command")
    removing = parts.add_parser("remove", help="delete them; a run that needs one again asks to make it")
    removing.add_argument("name", nargs="+", help="or how it begins")
    removing.set_defaults(command="environments:remove_command")
