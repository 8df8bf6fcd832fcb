"""Training with mmengine's Runner, its folders, files and prints taken away."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from synthbench_mmdet.configs import Settings, build, resolve, to_json
from synthbench_mmdet.data import TrainingData
from synthbench_mmdet.library import Hook, MMLogger, Runner, contained, pseudo_collate
from synthbench_mmdet.weights import fill, open_weights

if TYPE_CHECKING:
    from synthbench import ImageSet, Run
    from torch import Tensor, nn

    from synthbench_mmdet import Mmdet

MODEL, ABOUT = "model.safetensors", "model.json"
WARMUP = 0.1  # share of the steps over which the learning rate rises
UNUSED_HOOKS = ("timer", "sampler_seed", "logger", "checkpoint")


def train(options: Mmdet, data: ImageSet, run: Run) -> None:
    """See `Mmdet.train`."""
    start = open_weights(options, run)
    with tempfile.TemporaryDirectory(dir=run.workdir) as scratch, contained(run):
        settings = resolve(options, len(data.categories))
        torch.manual_seed(run.seed)  # before the model is built: some constructors draw numbers
        model = build(settings["model"], options.config)
        loader = DataLoader(
            TrainingData(data, options, run.seed),
            options.batch,
            shuffle=True,
            generator=torch.Generator().manual_seed(run.seed),
            collate_fn=pseudo_collate,
        )
        epochs = max(options.epochs, math.ceil(options.min_steps / len(loader)))
        steps = epochs * len(loader)
        runner = Trainer(
            run.device,
            model=model,
            work_dir=scratch,
            train_dataloader=loader,
            train_cfg={"type": "EpochBasedTrainLoop", "max_epochs": epochs},
            optim_wrapper=_optimizer(options, settings, run.device),
            param_scheduler=_schedule(steps),
            default_hooks=dict.fromkeys(UNUSED_HOOKS),
            custom_hooks=[Reporter(run, steps, start, options.weights)],
            randomness={"seed": run.seed},
            experiment_name="run",
        )
        runner.train()
    run.log_metrics(epochs=epochs)
    save_file({name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}, run.workdir / MODEL)
    about = {"config": options.config, "categories": data.categories, "model": settings["model"]}
    (run.workdir / ABOUT).write_text(to_json(about))


class Trainer(Runner):  # type: ignore[misc]  # mypy does not follow mmengine
    """A Runner on a given device, of a single process, that writes nothing and changes nothing of the process."""

    def __init__(self, device: str, **settings: object) -> None:
        self._device = device
        super().__init__(default_scope="mmdet", **settings)

    def setup_env(self, env_cfg: object) -> None:  # noqa: ARG002
        """No start method for processes, no limit of files, no number of threads."""
        self._rank, self._world_size, self._timestamp = 0, 1, "0"

    def _log_env(self, env_cfg: object) -> None:
        """Nothing: it would start compilers to ask for their versions."""

    def build_logger(self, *_: object, **__: object) -> MMLogger:
        """The one that `contained` has made."""
        return MMLogger.get_current_instance()

    def build_visualizer(self, visualizer: object = None) -> Any:  # noqa: ARG002
        """Takes what it is given and shows nothing."""
        return SimpleNamespace()

    def wrap_model(self, model_wrapper_cfg: object, model: nn.Module) -> nn.Module:  # noqa: ARG002
        """On the stage's device, rather than on a GPU where there is any."""
        return model.to(self._device)

    def dump_config(self) -> None:
        """Nothing: the settings are kept as JSON beside the weights."""


class Reporter(Hook):  # type: ignore[misc]  # mypy does not follow mmengine
    """Fills in the starting weights once the others are drawn, and tells the run how far it is."""

    priority = "VERY_LOW"

    def __init__(self, run: Run, steps: int, start: dict[str, Tensor], source: str) -> None:
        self._run, self._start, self._source = run, start, source
        self._ticks: Iterator[int] = iter(run.track(range(steps), "train", unit="batches"))

    def before_train(self, runner: Runner) -> None:
        """Starting weights."""
        if self._start:
            fill(runner.model, self._start, self._source, self._run)
        next(self._ticks)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: Any = None) -> None:  # noqa: ARG002
        """The losses of a step: their sum, and its main parts."""
        self._run.show_metrics(**{name: float(value) for name, value in outputs.items() if name.startswith("loss")})
        next(self._ticks, None)


def _optimizer(options: Mmdet, settings: Settings, device: str) -> Settings:
    """The config's own, or another; its rate in proportion to the batch where it was meant for another."""
    wrapper: Settings = dict(settings["optim_wrapper"])
    own: Settings = dict(wrapper["optimizer"])
    if options.optimizer == "adamw":
        own = {"type": "AdamW", "lr": 1e-3, "weight_decay": 1e-4}
    elif options.optimizer == "sgd":
        own = {"type": "SGD", "lr": 0.02 * options.batch / 16, "momentum": 0.9, "weight_decay": 1e-4}
    elif settings["base_batch"]:
        own["lr"] *= options.batch / settings["base_batch"]
    if options.learning_rate is not None:
        own["lr"] = options.learning_rate
    if not device.startswith("cuda"):
        wrapper["type"] = "OptimWrapper"  # the mixed precision of some configs is for GPUs
        for setting in ("loss_scale", "dtype"):
            wrapper.pop(setting, None)
    return {**wrapper, "optimizer": own}


def _schedule(steps: int) -> list[Settings]:
    """A linear warm-up followed by half a cosine down to nothing."""
    warm = max(round(WARMUP * steps), 1)
    rise = {"type": "LinearLR", "start_factor": 1 / warm, "by_epoch": False, "begin": 0, "end": warm}
    fall = {"type": "CosineAnnealingLR", "T_max": steps - warm, "by_epoch": False, "begin": warm, "end": steps}
    return [rise, fall] if steps > warm else [rise]
