"""Training with mmengine's Runner, without its folders, files and prints."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from synthbench import curve_steps, training_batches
from torch import nn
from torch.utils.data import DataLoader

from synthbench_mmdet.configs import Settings, build, resolve, to_json
from synthbench_mmdet.data import Example, TrainingData, load, packed
from synthbench_mmdet.library import DropPath, Hook, MMLogger, Runner, contained, pseudo_collate
from synthbench_mmdet.weights import fill, open_weights

if TYPE_CHECKING:
    from synthbench import ImageSet, Run
    from torch import Tensor

    from synthbench_mmdet import Mmdet

MODEL, ABOUT = "model.safetensors", "model.json"
WARMUP = 0.1  # share of the steps over which the learning rate rises
CHANGING = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.MultiheadAttention, DropPath)
"""Modules that keep statistics or draw at random in training mode."""
UNUSED_HOOKS = ("timer", "sampler_seed", "logger", "checkpoint")


def train(options: Mmdet, data: ImageSet, run: Run) -> None:
    """See `Mmdet.train`."""
    weights = open_weights(options, run)
    with tempfile.TemporaryDirectory(dir=run.workdir) as scratch, contained(run):
        settings = resolve(options, len(data.categories))
        torch.manual_seed(run.seed)  # before the model is built: some constructors use random numbers
        model = build(settings["model"], options.config)
        training, held_back = data.split(options.validation_split, run.seed)
        batches = training_batches(len(training), options.batch_size, options.max_train_steps, run.seed)
        loader = DataLoader(
            TrainingData(training, options, run.seed),
            batch_sampler=batches,
            generator=torch.Generator().manual_seed(run.seed),
            collate_fn=pseudo_collate,
        )
        reporter = Reporter(options, load(held_back, options.image_size), weights, run)
        runner = Trainer(
            run.device,
            model=model,
            work_dir=scratch,
            train_dataloader=loader,
            train_cfg={"type": "EpochBasedTrainLoop", "max_epochs": 1},  # an epoch is what `batches` holds
            optim_wrapper=_optimizer(options, settings, run.device),
            param_scheduler=_schedule(options.max_train_steps),
            default_hooks=dict.fromkeys(UNUSED_HOOKS),
            custom_hooks=[reporter],
            randomness={"seed": run.seed},
            experiment_name="run",
        )
        runner.train()
    if len(training) < len(data):
        run.log_metrics(validation_images=len(held_back))
    run.log_metrics(steps=reporter.steps)
    save_file({name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}, run.workdir / MODEL)
    about = {"config": options.config, "categories": data.categories, "model": settings["model"]}
    (run.workdir / ABOUT).write_text(to_json(about))


class Trainer(Runner):  # type: ignore[misc]  # mypy does not follow mmengine
    """A Runner with a single process on the stage's device, which writes no files and does not change settings of the process."""

    def __init__(self, device: str, **settings: object) -> None:
        self._device = device
        super().__init__(default_scope="mmdet", **settings)

    def setup_env(self, env_cfg: object) -> None:  # noqa: ARG002
        """Does not set the start method of processes, the limit of open files, or the number of threads."""
        self._rank, self._world_size, self._timestamp = 0, 1, "0"

    def _log_env(self, env_cfg: object) -> None:
        """Does nothing: mmengine would start compilers to ask for their versions."""

    def build_logger(self, *_: object, **__: object) -> MMLogger:
        """The logger of `library.contained`."""
        return MMLogger.get_current_instance()

    def build_visualizer(self, visualizer: object = None) -> Any:  # noqa: ARG002
        """A visualizer that does nothing."""
        return SimpleNamespace()

    def wrap_model(self, model_wrapper_cfg: object, model: nn.Module) -> nn.Module:  # noqa: ARG002
        """Puts the model on the stage's device; mmengine would use a GPU if there is one."""
        return model.to(self._device)

    def dump_config(self) -> None:
        """Does nothing: the settings are written as JSON beside the weights."""


class Reporter(Hook):  # type: ignore[misc]  # mypy does not follow mmengine
    """Loads the starting weights after the Runner has initialised the model, and reports progress to the run."""

    priority = "VERY_LOW"

    def __init__(self, options: Mmdet, held_back: Sequence[Example], weights: dict[str, Tensor], run: Run) -> None:
        self._options, self._held_back, self._weights, self._run = options, held_back, weights, run
        self._measured = curve_steps(options.max_train_steps)
        self._losses: list[float] = []
        self._ticks: Iterator[int] = iter(run.track(range(options.max_train_steps), "train", unit="steps"))
        self.steps = 0

    def before_train(self, runner: Runner) -> None:
        """Loads the starting weights, and begins to count the optimizer's steps."""
        runner.optim_wrapper.optimizer.register_step_post_hook(self._count)
        if self._weights:
            fill(runner.model, self._weights, self._options.weights, self._run)
        next(self._ticks)

    def _count(self, *_: object) -> None:
        self.steps += 1

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: Any = None) -> None:  # noqa: ARG002
        """Shows the losses of a step, which are their sum and its parts, and adds points to the curves."""
        self._run.show_metrics(**{name: float(value) for name, value in outputs.items() if name.startswith("loss")})
        self._losses.append(float(outputs["loss"]))
        if (step := batch_idx + 1) in self._measured:
            self._run.log_curve("loss", step, sum(self._losses) / len(self._losses))
            self._losses.clear()
            if self._held_back:
                loss = validation_loss(runner.model, self._held_back, self._options.batch_size, self._run.seed)
                self._run.log_curve("validation_loss", step, loss)
                self._run.log_metrics(validation_loss=round(loss, 4))
        next(self._ticks, None)


def validation_loss(model: Any, examples: Sequence[Example], batch_size: int, seed: int) -> float:
    """The mean loss per image, without augmentation. The samplers of mmdet's heads draw the same boxes each time."""
    # Not `model.eval()`, in which some detectors, such as DINO, do not compute what their losses need.
    paused = [module for module in model.modules() if module.training and isinstance(module, CHANGING)]
    for module in paused:
        module.training = False
    total = 0.0
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        state = np.random.get_state()
        np.random.seed(seed % 2**32)
        for first in range(0, len(examples), batch_size):
            some = examples[first : first + batch_size]
            batch = pseudo_collate([packed(each.pixels.float(), each.boxes, each.labels, each.crowd) for each in some])
            losses = model(**model.data_preprocessor(batch, True), mode="loss")
            total += float(model.parse_losses(losses)[0]) * len(some)
        np.random.set_state(state)
    for module in paused:
        module.training = True
    return total / len(examples)


def _optimizer(options: Mmdet, settings: Settings, device: str) -> Settings:
    """The config's own optimizer, with its learning rate in proportion to the batch size, or another one."""
    wrapper: Settings = dict(settings["optim_wrapper"])
    own: Settings = dict(wrapper["optimizer"])
    if options.optimizer == "adamw":
        own = {"type": "AdamW", "lr": 1e-3, "weight_decay": 1e-4}
    elif options.optimizer == "sgd":
        own = {"type": "SGD", "lr": 0.02 * options.batch_size / 16, "momentum": 0.9, "weight_decay": 1e-4}
    elif settings["base_batch_size"]:
        own["lr"] *= options.batch_size / settings["base_batch_size"]
    if options.learning_rate is not None:
        own["lr"] = options.learning_rate
    if not device.startswith("cuda"):
        wrapper["type"] = "OptimWrapper"  # the mixed precision of some configs is for GPUs
        for setting in ("loss_scale", "dtype"):
            wrapper.pop(setting, None)
    return {**wrapper, "optimizer": own}


def _schedule(steps: int) -> list[Settings]:
    """A linear warm-up followed by a cosine decay to zero."""
    warm = max(round(WARMUP * steps), 1)
    rise = {"type": "LinearLR", "start_factor": 1 / warm, "by_epoch": False, "begin": 0, "end": warm}
    fall = {"type": "CosineAnnealingLR", "T_max": steps - warm, "by_epoch": False, "begin": warm, "end": steps}
    return [rise, fall] if steps > warm else [rise]
