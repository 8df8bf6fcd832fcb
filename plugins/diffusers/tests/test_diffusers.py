from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
from synthbench import ImageSet, Picture, SampleRequest, SynthbenchError
from synthbench.contract.images import write_image
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench_diffusers import SD15DreamBooth, SDXLLora, synthbench_generators

Item = TypeVar("Item")

if TYPE_CHECKING:
    from synthbench_diffusers.native import NativeBoxes as Recipe

SMALL: dict[str, Any] = {
    "resolution": 32,
    "max_train_steps": 3,
    "learning_rate": 1e-2,
    "num_inference_steps": 4,
    "checkpointing_steps": 2,
    "mixed_precision": "no",  # the default would be bf16 on some machines
}
METHODS = ("full", "lora", "sdxl")
APPLE = ("apple",)


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Red discs on noisy green, of several shapes."""
    folder = tmp_path_factory.mktemp("references")
    pictures = []
    for number, (height, width) in enumerate([(32, 32), (45, 60), (70, 40)]):
        rng = np.random.default_rng(number)
        image = rng.integers(0, 90, (height, width, 3), np.uint8) + np.array([0, 60, 0], np.uint8)
        down, across = np.ogrid[:height, :width]
        image[(down - height // 2) ** 2 + (across - width // 2) ** 2 < 60] = [220, 30, 30]
        write_image(folder / f"{number}.png", image)
        pictures.append(Picture(folder / f"{number}.png", width, height))
    return ImageSet(APPLE, tuple(pictures))


@pytest.fixture(scope="session")
def recipes(checkpoints: dict[str, Path]) -> dict[str, Recipe]:
    sd, sdxl = str(checkpoints["sd"]), str(checkpoints["sdxl"])
    prior: dict[str, Any] = {"with_prior_preservation": True, "num_class_images": 2, "snr_gamma": 5.0, "batch_size": 2}
    return {
        "full": sd15(sd, **SMALL, train_text_encoder=True, random_flip=True, center_crop=True, lr_scheduler="cosine"),
        "lora": sd15(sd, **SMALL, method="lora", scheduler="dpm++", **prior),
        "sdxl": sdxl_lora(
            sdxl,
            **SMALL,
            gradient_checkpointing=True,
            gradient_accumulation_steps=2,
            train_text_encoder=True,
            scheduler="euler",
            random_flip=True,
        ),
    }


@pytest.fixture(scope="session")
def fitted(recipes: dict[str, Recipe], references: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, recipe in recipes.items():
        run = StageRun(tmp_path_factory.mktemp(name), seed=7)
        recipe.fit(references, run)
        assert run.metrics["steps"] == 3
        folders[name] = run.workdir
    return folders


def sd15(checkpoint: str, **options: Any) -> SD15DreamBooth:
    return SD15DreamBooth(pretrained_model_name_or_path=checkpoint, **options)


def sdxl_lora(checkpoint: str, **options: Any) -> SDXLLora:
    return SDXLLora(pretrained_model_name_or_path=checkpoint, **options)


def images(recipe: Recipe, fitted: Path, stop: int = 4, start: int = 0, seed: int = 1) -> np.ndarray:
    samples = recipe.sample(fitted, SampleRequest(start, stop, APPLE), StageRun(fitted, seed=seed))
    return np.stack([np.asarray(sample.image, np.uint8) for sample in samples]).astype(np.int64)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {f"{path.parent.name}/{key}": value for path in folder.rglob("*.safetensors") for key, value in load_file(path).items()}


def test_the_files_that_the_hint_names_are_those_that_are_read() -> None:
    from huggingface_hub.utils._paths import filter_repo_objects
    from synthbench_diffusers.checkpoint import files_of

    vae = ["README.md", "config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin", "sdxl.vae.safetensors"]
    assert [*filter_repo_objects(vae, allow_patterns=list(files_of("")))] == ["config.json", "diffusion_pytorch_model.safetensors"]
    read = [
        "model_index.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    duplicates = [
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "v1-5-pruned.safetensors",
        "text_encoder/pytorch_model.bin",
    ]
    assert [*filter_repo_objects([*read, *duplicates], allow_patterns=list(files_of("")))] == read
    half = [
        "model_index.json",
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert [*filter_repo_objects([*half, *read[1:], "unet/diffusion_pytorch_model.bin"], allow_patterns=list(files_of("fp16")))] == [
        *half,
        "tokenizer/merges.txt",
        "unet/diffusion_pytorch_model.safetensors.index.json",
    ]


def test_an_optimizers_nested_state_is_taken_apart_and_put_together() -> None:
    from synthbench_diffusers.state import flattened, nested

    state = {0: {"step": 3, "quantized": {"state1": 1, "absmax1": 2}}, 1: {"step": 3}}
    leaves = dict(flattened(state))
    assert leaves == {"0/step": 3, "0/quantized/state1": 1, "0/quantized/absmax1": 2, "1/step": 3}
    assert {int(index): each for index, each in nested(leaves).items()} == state


def test_importing_the_plugin_is_light() -> None:
    code = "import sys, synthbench_diffusers; print({'torch', 'numpy', 'diffusers', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "set()"


def test_options_follow_the_recipes_and_are_checked() -> None:
    assert [generator.name for generator in synthbench_generators()] == ["sd15-dreambooth", "sdxl-lora", "inpaint"]
    assert (SD15DreamBooth().total_steps, SD15DreamBooth().rate) == (400, 5e-6)
    assert SD15DreamBooth(with_prior_preservation=True).total_steps == 800
    assert (SD15DreamBooth(method="lora").total_steps, SDXLLora().rate, SDXLLora().side) == (500, 1e-4, 1024)
    plugin, problems = configure(SD15DreamBooth, {"map_scales": [1, 2], "box_threshold": "otsu", "map_times": [0.1, 0.9]})
    assert plugin is not None, problems
    assert "class_word" in configure(SD15DreamBooth, {"class_word": "cherries"})[1][0]
    assert "not a word of the prompt" in configure(SD15DreamBooth, {"class_word": "apple"})[1][0], "attention is to whole words"
    assert "map_blocks: empty" in configure(SD15DreamBooth, {"map_blocks": []})[1][0]
    assert "map_times" in configure(SDXLLora, {"map_times": [0.9, 0.1]})[1][0]
    assert not configure(SD15DreamBooth, {"class_word": "cherries", "boxes": False})[1]
    assert configure(SD15DreamBooth, {"method": "half"})[1]


@pytest.mark.parametrize("plugin", [SD15DreamBooth, SDXLLora])
def test_an_old_option_name_gets_the_new_one_as_an_error(plugin: type[Recipe]) -> None:
    options = {field.name for field in dataclasses.fields(plugin)}
    for old, new in plugin.renamed_options.items():
        assert new in options
        assert configure(plugin, {old: 1}) == (None, [f"{old}: renamed to '{new}'"])
    assert "batch: renamed to 'batch_size'" in configure(plugin, {"batch": 4, "rank": 4})[1]
    assert ("vae" in plugin.renamed_options) == (plugin is SDXLLora)
    [problem] = configure(plugin, {"mixed_precision": "fp32"})[1]
    assert problem.startswith("mixed_precision: unknown value 'fp32'")


def test_a_fit_leaves_only_what_sampling_needs(fitted: dict[str, Path]) -> None:
    left = {}
    for name, folder in fitted.items():
        paths = [path.relative_to(folder) for path in folder.rglob("*")]
        left[name] = sorted(path.as_posix() for path in paths if path.parts[0] != "class_images")  # of no fit where a store is
    assert left["lora"] == left["sdxl"] == ["fitted.json", "pytorch_lora_weights.safetensors"]
    assert {path.split("/")[0] for path in left["full"]} == {"fitted.json", "unet", "text_encoder"}
    assert any(key.startswith(f"{fitted['sdxl'].name}/text_encoder_2.") for key in weights(fitted["sdxl"]))


@pytest.mark.parametrize("method", METHODS)
def test_the_fitted_weights_are_sampled_from(method: str, recipes: dict[str, Recipe], fitted: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(fitted[method], tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.safetensors"):
        save_file({key: value * (0 if "lora" in key else 0.9) for key, value in load_file(path).items()}, path, {"format": "pt"})
    assert np.abs(images(recipes[method], tmp_path, 1) - images(recipes[method], fitted[method], 1)).max() > 1


@pytest.mark.parametrize("method", METHODS)
def test_an_image_depends_on_seed_and_number_alone(method: str, recipes: dict[str, Recipe], fitted: dict[str, Path]) -> None:
    recipe = dataclasses.replace(recipes[method], prompts=("a photo of sks apples", "many apples at night"), sample_batch_size=8)
    together = images(recipe, fitted[method], 5)
    for batch in (1, 3):  # sums in another order move a pixel by a level or two
        assert np.abs(images(dataclasses.replace(recipe, sample_batch_size=batch), fitted[method], 5) - together).max() <= 2
    assert np.array_equal(images(recipe, fitted[method], 5, start=3), together[3:])
    assert np.array_equal(images(recipe, fitted[method], 9, start=7)[:1], images(recipe, fitted[method], 8, start=7))
    assert not np.array_equal(images(recipe, fitted[method], 2, seed=2), together[:2])
    assert not np.array_equal(together[0], together[1])


@pytest.mark.parametrize("method", METHODS)
def test_boxes_come_with_the_images(method: str, recipes: dict[str, Recipe], fitted: dict[str, Path], references: ImageSet) -> None:
    recipe = dataclasses.replace(recipes[method], box_threshold="otsu", map_scales=(1, 2), sampling_resolution=40)
    samples = list(recipe.sample(fitted[method], SampleRequest(0, 2, APPLE), StageRun(fitted[method], seed=1)))
    assert all(np.asarray(sample.image).shape == (40, 40, 3) and sample.about["prompt"] == recipe.instance_prompt for sample in samples)
    assert all(sample.boxes is not None and len(sample.boxes) and sample.boxes.xyxy.max() <= 40 for sample in samples)
    alone = images(dataclasses.replace(recipe, boxes=False), fitted[method], 2)
    assert all(np.array_equal(one, np.asarray(sample.image)) for one, sample in zip(alone, samples, strict=True))
    found = list(recipe.locate(fitted[method], references, StageRun(fitted[method], seed=1)))
    again = list(recipe.locate(fitted[method], references, StageRun(fitted[method], seed=1)))
    for picture, boxes, same in zip(references, found, again, strict=True):
        assert 0 < len(boxes) <= 100
        assert (boxes.xyxy[:, 2] <= picture.width).all()
        assert (boxes.xyxy[:, 3] <= picture.height).all()
        assert np.array_equal(boxes.xyxy, same.xyxy)


class Stopped(StageRun):
    """Raises KeyboardInterrupt before the third step."""

    def track(self, items: Iterable[Item], label: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
        for number, item in enumerate(super().track(items, label, total, unit)):
            if label == "fit" and number == 2:
                raise KeyboardInterrupt
            yield item


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_fit_resumes(
    method: str, recipes: dict[str, Recipe], fitted: dict[str, Path], references: ImageSet, tmp_path: Path
) -> None:
    messages: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        recipes[method].fit(references, Stopped(tmp_path, seed=7))
    (tmp_path / "state.part").mkdir()  # as if it was killed while it saved the next state
    (tmp_path / "state.part" / "weights.safetensors").write_bytes(b"")
    recipes[method].fit(references, StageRun(tmp_path, seed=7, emit=lambda event: messages.append(event.get("message"))))
    assert "resumes after step 2" in messages
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("state")]
    uninterrupted, resumed = (
        sorted(weights(folder).items(), key=lambda pair: pair[0].split("/")[1]) for folder in (fitted[method], tmp_path)
    )
    assert all(np.array_equal(one.numpy(), two.numpy()) for (_, one), (_, two) in zip(uninterrupted, resumed, strict=True))


def test_the_loss_falls(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    options: dict[str, Any] = {**SMALL, "max_train_steps": 60, "learning_rate": 3e-3, "batch_size": 4}
    run = StageRun(tmp_path, seed=7)
    sd15(str(checkpoints["sd"]), **options).fit(references[:1], run)
    assert float(run.metrics["last_loss"]) < 0.9 * float(run.metrics["first_loss"])


def test_a_word_of_several_tokens_is_found(tokenizer: Any) -> None:
    from synthbench_diffusers.conditioning import token_weights

    found = token_weights(tokenizer, "red apples here", "apples")
    assert found is not None
    assert np.flatnonzero(found.numpy()).tolist() == [4, 5, 6, 7, 8, 9]  # after the start token and the letters of "red"
    assert float(found.sum()) == pytest.approx(1)
    assert token_weights(tokenizer, "a pineapples tree", "apples") is None
    assert token_weights(tokenizer, "a " * 80 + "apples", "apples") is None


def test_boxes_enclose_the_regions_above_the_threshold() -> None:
    from synthbench_diffusers.boxes import boxes_from_maps, otsu

    heat = np.full((40, 60), 0.1, np.float32)
    heat[10:20, 5:15] = 0.9
    heat[25:31, 40:52] = 0.7
    heat[0, 0] = 0.9
    for threshold in (0.5, "otsu"):
        found = boxes_from_maps(heat[None], [0], threshold, 0.001)
        assert found.xyxy.tolist() == [[5, 10, 15, 20], [40, 25, 52, 31]]
        assert found.scores[0] > found.scores[1] > 0.5
    assert len(boxes_from_maps(heat[None], [0], 0.5, 0)) == 3
    assert not len(boxes_from_maps(np.ones((1, 8, 8), np.float32), [0], 0.5, 0))
    assert 0.2 < otsu(np.array([0, 0.1, 0.9, 1], np.float32)) < 0.9


def test_errors_say_what_to_do(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    sd, sdxl, pickled = (str(checkpoints[name]) for name in ("sd", "sdxl", "pickled"))
    cases: list[tuple[Recipe, str]] = [
        (sd15("nobody/nothing"), "hf download nobody/nothing"),
        (sd15(str(tmp_path)), "model_index.json"),
        (sd15(sdxl), "use the generator sdxl-lora"),
        (sdxl_lora(sdxl, pretrained_vae_model_name_or_path="nobody/vae"), "hf download nobody/vae"),
        (sd15("nobody/nothing@v1", variant="fp16"), r"hf download nobody/nothing --revision v1 --include .*'\*model.fp16.safetensors'"),
        (sd15(sd, resolution=33), "multiple of 4"),
        (sd15(sd, resolution=32, learning_rate=1e30, max_train_steps=3), "the loss of step [23] is (nan|inf); lower learning_rate"),
        (sd15(sd, resolution=32, learning_rate=1e38, max_train_steps=1), "weights are not finite after the last step; lower learning_rate"),
        (sd15(sd, resolution=32, use_8bit_adam=True), "bitsandbytes"),
        (sd15(pickled, resolution=32, max_train_steps=1), "--allow-pickle"),
    ]
    for recipe, message in cases:
        with pytest.raises(SynthbenchError, match=message):
            recipe.fit(references, StageRun(tmp_path, seed=0))
    with pytest.raises(SynthbenchError, match="no references"):
        cases[0][0].fit(references[:0], StageRun(tmp_path))
    with pytest.raises(SynthbenchError, match=r"names none of 'apple' and 'pear'; write \{classes\}"):
        cases[0][0].check_boxes(("apple", "pear"))
    cases[-1][0].fit(references, StageRun(tmp_path, seed=0, allow_pickle=True))
    plain = sd15(sd, resolution=32, max_train_steps=0, num_inference_steps=2)
    plain.fit(references, StageRun(tmp_path))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"scheduler": "lcm", "num_inference_steps": 60}, "num_inference_steps: 60 are too many for scheduler = 'lcm'"),
        ({"scheduler": "ddim", "num_inference_steps": 1001}, "num_inference_steps: 1001 are too many"),
        ({"guidance_scale": 1e30}, "pixels that are not finite"),
    ]
    for options, message in changes:
        with pytest.raises(SynthbenchError, match=message):
            images(dataclasses.replace(plain, **options), tmp_path, 1)


def test_without_a_step_the_checkpoint_itself_is_sampled_from(
    recipes: dict[str, Recipe], checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path
) -> None:
    import torch
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    for name in ("full", "sdxl"):
        recipe = dataclasses.replace(recipes[name], max_train_steps=0, with_prior_preservation=True)
        run = StageRun(tmp_path / name, seed=7)
        run.workdir.mkdir()
        recipe.fit(references, run)
        assert [path.name for path in run.workdir.rglob("*")] == ["fitted.json"]
        assert run.metrics["steps"] == 0
        assert len(images(recipe, run.workdir, 1)) == 1
    recipe = dataclasses.replace(recipes["full"], max_train_steps=0, scheduler="dpm++", sample_batch_size=1)
    pipe = StableDiffusionPipeline.from_pretrained(checkpoints["sd"], safety_checker=None)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    from synthbench import derive_seed

    noise = torch.Generator().manual_seed(derive_seed(1, 0, "latents"))
    expected = pipe(recipe.instance_prompt, height=32, width=32, num_inference_steps=4, generator=noise, output_type="np").images[0]
    assert np.abs(images(recipe, tmp_path / "full", 1)[0] - (expected * 255).round()).max() <= 1


def test_guidance_that_is_an_input_of_a_distilled_unet_is_the_pipelines(
    checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path
) -> None:
    import torch
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
    from synthbench import derive_seed

    distilled = checkpoints["distilled"]
    pipe = StableDiffusionPipeline.from_pretrained(distilled, safety_checker=None)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    recipe = sd15(str(distilled), resolution=32, max_train_steps=0, num_inference_steps=4, guidance_scale=3.0, sample_batch_size=1)
    recipe.fit(references, StageRun(tmp_path, seed=7))
    noise = torch.Generator().manual_seed(derive_seed(1, 0, "latents"))
    expected = pipe(
        recipe.instance_prompt, height=32, width=32, num_inference_steps=4, guidance_scale=3.0, generator=noise, output_type="np"
    ).images[0]
    found = images(recipe, tmp_path, 1)[0]
    assert np.abs(found - (expected * 255).round()).max() <= 1
    assert not np.array_equal(found, images(dataclasses.replace(recipe, guidance_scale=9.0), tmp_path, 1)[0])


def test_the_end_of_a_prompt_that_is_not_read_is_told(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    recipe = sd15(str(checkpoints["sd"]), resolution=32, max_train_steps=0, num_inference_steps=1, boxes=False)
    recipe = dataclasses.replace(recipe, prompts=("x" * 75, "x" * 75 + "apples"))
    run = StageRun(tmp_path, seed=1)
    recipe.fit(references, run)
    list(recipe.sample(tmp_path, SampleRequest(0, 1, APPLE), run))
    assert [each for each in run.notes if "tokens" in each] == ["the text encoder reads 75 tokens of a prompt, and not its end: 'apples'"]


def test_ddim_clips_no_latents_where_a_checkpoint_says_nothing_of_it() -> None:
    import torch
    from diffusers import EulerDiscreteScheduler
    from synthbench_diffusers.sampling import SCHEDULERS

    kind, changes = SCHEDULERS["ddim"]
    scheduler = kind.from_config(
        EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").config, **changes
    )
    scheduler.set_timesteps(20)
    image, latents = 3 * torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    for time in scheduler.timesteps:  # of a network that knows the image
        share = scheduler.alphas_cumprod[int(time)]
        latents = scheduler.step((latents - share.sqrt() * image) / (1 - share).sqrt(), time, latents).prev_sample
    assert float((latents - image).abs().max()) < 1e-3


@pytest.mark.parametrize("scheduler", ["lcm", "euler-trailing"])
def test_schedulers_of_few_steps_repeat_their_images(
    scheduler: Any, recipes: dict[str, Recipe], fitted: dict[str, Path], references: ImageSet
) -> None:
    recipe = dataclasses.replace(recipes["lora"], scheduler=scheduler, guidance_scale=1.0)
    both = images(recipe, fitted["lora"], 2)
    assert np.array_equal(both, images(recipe, fitted["lora"], 2))
    assert not np.array_equal(both[0], both[1])
    assert np.array_equal(both[1:], images(recipe, fitted["lora"], 2, start=1))


def test_each_random_crop_is_encoded_once(checkpoints: dict[str, Path]) -> None:
    import torch
    from diffusers import AutoencoderKL
    from synthbench_diffusers.references import CROPS, Latents, Squares

    wide = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
    latents = Latents(AutoencoderKL.from_pretrained(checkpoints["sd"] / "vae"), Squares([wide], 32, random_flip=True, seed=3))
    for seed in range(200):
        latents.draw(0, torch.Generator().manual_seed(seed))
    assert CROPS < len(latents.cached) <= 2 * CROPS
    assert len({crop.left for crop in latents.cached}) > CROPS // 2
    other = Squares([wide], 32, seed=4)
    assert {other.draw(0, torch.Generator().manual_seed(seed)).left for seed in range(99)} != {crop.left for crop in latents.cached}


def test_one_reference_at_a_time_is_in_memory_at_its_full_size(
    recipes: dict[str, Recipe], references: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[Any]] = []
    most = 0

    def pixels(picture: Picture) -> np.ndarray:
        nonlocal most
        image = np.full((90, 70, 3), len(alive), np.uint8)
        alive.append(weakref.ref(image))
        most = max(most, sum(each() is not None for each in alive))
        return image

    monkeypatch.setattr(Picture, "pixels", pixels)
    dataclasses.replace(recipes["full"], max_train_steps=0).fit(ImageSet(APPLE, references.pictures * 3), StageRun(tmp_path))
    assert len(alive) == 9
    assert most <= 2, "the one before is still there while the next is read"


def test_unsupported_checkpoints_are_refused(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    import json

    for part, changes, told in (
        ("vae/config.json", {"latents_mean": [0.0] * 4}, "latents_mean"),
        ("vae/config.json", {"shift_factor": 0.1}, "shift_factor"),
        ("model_index.json", {"scheduler": ["diffusers", "EDMEulerScheduler"]}, "EDMEulerScheduler"),
    ):
        folder = tmp_path / told
        shutil.copytree(checkpoints["sd"], folder)
        (folder / part).write_text(json.dumps({**json.loads((folder / part).read_text()), **changes}))
        with pytest.raises(SynthbenchError, match=told):
            sd15(str(folder), resolution=32).fit(references, StageRun(tmp_path, seed=0))


def test_a_state_holds_tensors_that_weights_share_and_no_scaler_of_another_precision(tmp_path: Path) -> None:
    import torch
    from synthbench_diffusers import state

    recipe, weights = sd15("nobody/nothing"), {name: torch.nn.Parameter(torch.ones(2)) for name in ("unet.a", "unet.b")}
    shared = torch.arange(4.0)

    class Optimizer:
        values: dict[str, Any] = {"state": {number: {"step": 3, "qmap1": shared} for number in range(2)}, "param_groups": []}  # noqa: RUF012

        def state_dict(self) -> dict[str, Any]:
            return self.values

        def load_state_dict(self, values: dict[str, Any]) -> None:
            self.values = values

    run = StageRun(tmp_path, seed=0)
    disabled, enabled = (torch.amp.GradScaler("cpu", enabled=on) for on in (False, True))
    state.save(run, recipe, state.Progress(weights, Optimizer(), disabled, [1.0, 2.0]))
    later = state.Progress(weights, Optimizer(), enabled)
    state.load(run, recipe, later)
    assert later.losses == [1.0, 2.0]
    assert later.optimizer.values["state"][1]["qmap1"].tolist() == shared.tolist()


def test_a_state_is_saved_only_if_there_is_room(
    recipes: dict[str, Recipe], references: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthbench_diffusers import state

    monkeypatch.setattr(state, "ROOM", 1e12)
    messages: list[str] = []
    recipes["lora"].fit(references, StageRun(tmp_path, seed=7, emit=lambda event: messages.append(str(event.get("message")))))
    assert any(message.startswith("no state is saved: it needs 0.0 GB") for message in messages)


def test_states_are_saved_by_the_clock_unless_steps_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthbench_diffusers import state

    monkeypatch.setattr(state, "INTERVAL", 0.0)
    assert state.Clock(None).is_due(1)
    assert [state.Clock(3).is_due(step) for step in (1, 2, 3)] == [False, False, True]
    assert not state.Clock(0).is_due(3)
    monkeypatch.undo()
    assert not state.Clock(None).is_due(1)


def test_precision_follows_the_device_and_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch
    from synthbench_diffusers.checkpoint import set_precision

    recipe = sd15("nobody/nothing")
    run = StageRun(tmp_path)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert set_precision(recipe, run) == torch.float32
    assert not run.notes
    for has in ("amx_bf16", "avx512_bf16"):
        run.notes.clear()
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: {has: True})
        assert set_precision(recipe, run) == torch.bfloat16
        assert run.notes == ["forward passes in bfloat16"]
    assert set_precision(dataclasses.replace(recipe, mixed_precision="no"), run) == torch.float32
    run.notes.clear()
    run.device = "cuda"
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    for has_bf16, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, answer=has_bf16: answer)
        assert set_precision(recipe, run) == dtype
    assert run.notes == [f"forward passes in {name}, fp32 parts with TF32" for name in ("bfloat16", "float16")]


def test_lora_stays_beside_half_precision_weights(recipes: dict[str, Recipe], fitted: dict[str, Path], tmp_path: Path) -> None:
    import torch
    from synthbench_diffusers.checkpoint import open_pipeline

    half = open_pipeline(dataclasses.replace(recipes["lora"], mixed_precision="bf16"), StageRun(tmp_path), fitted["lora"])
    assert any("lora" in name for name, _ in half.unet.named_parameters())
    whole = open_pipeline(recipes["lora"], StageRun(tmp_path), fitted["lora"])
    assert not any("lora" in name for name, _ in whole.unet.named_parameters())
    noise, time, text = torch.randn(1, 4, 8, 8), torch.tensor(500), torch.randn(1, 77, 16)
    with torch.no_grad():
        one = half.unet(noise.bfloat16(), time, encoder_hidden_states=text.bfloat16()).sample.float()
        two = whole.unet(noise, time, encoder_hidden_states=text).sample
    assert float((one - two).norm() / two.norm()) < 0.05


def test_class_images_depend_on_nothing_that_is_not_in_their_key(recipes: dict[str, Recipe], tmp_path: Path) -> None:
    from synthbench_diffusers.checkpoint import open_pipeline
    from synthbench_diffusers.class_images import OPTIONS, sample_missing

    for name in METHODS:
        kind = type(recipes[name])
        read: set[str] = set()

        def recorded(self: Recipe, option: str, read: set[str] = read) -> Any:
            read.add(option)
            return object.__getattribute__(self, option)

        watched: Any = dataclasses.dataclass(frozen=True, kw_only=True)(type("Watched", (kind,), {"__getattribute__": recorded}))
        values = {field.name: getattr(recipes[name], field.name) for field in dataclasses.fields(kind)}
        recipe = watched(**values | {"num_class_images": 2, "boxes": False})
        read.clear()
        run = StageRun(tmp_path / name, seed=7)
        run.workdir.mkdir()
        sample_missing(recipe, open_pipeline(recipe, run), run, run.workdir)
        options = {field.name for field in dataclasses.fields(kind)}
        assert {"class_prompt", "resolution"} < read
        assert read & options <= {*kind.loading_options, *OPTIONS}, name


def test_fits_of_other_references_share_their_class_images(recipes: dict[str, Recipe], references: ImageSet, tmp_path: Path) -> None:
    from synthbench.contract.options import option_values
    from synthbench.execution.jobs import Job
    from synthbench.execution.sharing import shared_folder
    from synthbench.storage.local import LocalStore

    store = LocalStore(tmp_path / "store")
    left: list[dict[str, bytes]] = []
    for number, (share, rate) in enumerate([(True, 1e-3), (True, 1e-2), (False, 1e-2)]):
        recipe = dataclasses.replace(recipes["lora"], learning_rate=rate)
        stage = {"seed": 7, "plugin": recipe.name, "version": recipe.version, "options": option_values(recipe, ())}
        job = Job(kind="fit", key="", about={"recipe": stage})
        run = StageRun(tmp_path / str(number), seed=7, share=partial(shared_folder, job, store) if share else None)
        run.workdir.mkdir()
        recipe.fit(references[: 1 + number] if number < 2 else references[:2], run)
        left.append({path.name: path.read_bytes() for path in run.workdir.glob("*.safetensors")})
        assert any("class_images: from the store" in note for note in run.notes) == (number == 1)
    assert left[0] != left[1]
    assert left[1] == left[2], "shared or not, the images are the same"
    assert [kind for kind, _ in store.contents()] == ["shared"]
