"""`lightning fit | validate | test | predict`: LightningCLI, a run directory around it, and resume."""

import os
import sys
from typing import Any

import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

import genlab.callbacks as parts
import genlab.data
import genlab.families  # noqa: F401  # so that `--model VAE --data Digits` finds them by name
from genlab.cli import cluster, remarks, resume, steps
from genlab.cli.evaluation_progress import EvaluationProgress
from genlab.cli.init_from import initialise
from genlab.cli.nan import refuse_nan
from genlab.cli.parser import OneLineParser
from genlab.cli.progress import TrainingProgress
from genlab.cli.quiet import lightnings_errors, quieten
from genlab.cli.run_settings import RunSettings
from genlab.cli.sections import SECTIONS
from genlab.cli.trainer_settings import check_trainer
from genlab.core import UserError, WorkError
from genlab.experiments import frozen
from genlab.experiments.checkpoint_io import AtomicCheckpointIO
from genlab.experiments.loading import latest, resolve_checkpoint
from genlab.experiments.provenance import provenance
from genlab.experiments.ranks import note
from genlab.experiments.recorder import Recorder
from genlab.experiments.run_log import RunLog
from genlab.experiments.sweeps import trial as sweep_trial
from genlab.families.base import GenerativeModel
from genlab.stop_signals import stop_signals

TRAINER_DEFAULTS = {
    "max_epochs": -1,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 50,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


def run(command: str, words: list[str]) -> int:
    """Run one of Lightning's commands; its exit status."""
    quieten()
    plan = resume.plan(command, sweep_trial.adapt(words))
    try:
        with RunLog() as log:
            return _run(plan, log)
    finally:
        plan.release()
        if "SLURM_JOB_ID" not in os.environ:  # else a preempted job is signalled again while it leaves
            stop_signals.restore()


def _run(plan: resume.Plan, log: RunLog) -> int:
    try:
        cli = GenlabCLI(plan, log)
        cli.execute()
    except parts.Stopped as stop:
        return cluster.stopped(stop, cli.run_dir, plan.way_on())
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):  # which Lightning turns into an exit
            raise
        note(f"interrupted; {plan.way_on()}")
        return 130
    except Exception as error:
        if not isinstance(error, (UserError, WorkError)) and plan.has_begun:
            note(f"failed; {plan.way_on()}")  # above the traceback, since the mistake may be mended
        raise
    return 0


class GenlabCLI(LightningCLI):
    """LightningCLI with genlab's callbacks as sections of the config, in a run directory.

    Args:
        plan: the command, its words, and the checkpoint to continue from.
        log: keeps what is printed, in the run directory.
    """

    def __init__(self, plan: resume.Plan, log: RunLog | None = None):
        self.plan, self.log = plan, log or RunLog()
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults=dict(TRAINER_DEFAULTS),
            parser_class=OneLineParser,
            parser_kwargs={
                "parser_mode": "omegaconf+",
                "exit_on_error": True,
                "prog": "lightning",
                "allow_abbrev": False,  # else `--trainer.max_step` would be taken for another key
            }
            | {c: {"parser_mode": "omegaconf+"} for c in self.subcommands()},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=[plan.command, *plan.words],
        )

    # -- parsing -----------------------------------------------------------------------------------------------

    def add_arguments_to_parser(self, parser: OneLineParser) -> None:
        parser.add_class_arguments(RunSettings, "run")
        for section, callback in SECTIONS.items():
            parser.add_lightning_class_args(getattr(parts, callback), section)
        parser.add_argument(
            "--init_from", type=str | None, default=None, help="Start from a checkpoint's weights."
        )
        parser.link_arguments(
            "data", "model.init_args.spec", compute_fn=lambda data: data.spec, apply_on="instantiate"
        )

    def parse_arguments(self, parser: OneLineParser, args: Any) -> None:
        argv, sys.argv = sys.argv, sys.argv[:1]  # else Lightning warns that arguments came from two places
        try:
            super().parse_arguments(parser, args)
        finally:
            sys.argv = argv
        refuse_nan(self.config.get(self.config.get("subcommand")))

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning would let the checkpoint's hyperparameters override the command line."""

    @property
    def section(self) -> Any:
        """The parsed config of this command."""
        return self.config[self.subcommand]

    def resolved_config(self) -> dict[str, Any]:
        """The config as primitives, without what is not part of an experiment."""
        parser = self._parser(self.subcommand)
        tree = yaml.safe_load(parser.dump(self.section, skip_none=False, skip_validation=True))
        for key in ("ckpt_path", "weights_only", "init_from", "config", "verbose", "return_predictions"):
            tree.pop(key, None)
        return tree

    # -- building ----------------------------------------------------------------------------------------------

    def before_instantiate_classes(self) -> None:
        cluster.check_allocation(self.section.trainer)
        check_trainer(self.section.trainer)
        sweep_trial.share_threads(self.section.trainer)
        self.run_dir, self.ckpt_path = self.plan.place(self.section)
        if self.subcommand == "fit" and rank_zero_only.rank == 0:
            self.log.open(self.run_dir.log)
        self.frozen = frozen.fill(self.section)
        if self.section.get("init_from"):
            self.section.init_from = latest(self.section.init_from)
        self.plan.check(self.resolved_config())

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        config = self.resolved_config()
        about = {
            "format": 1,
            "config": config,
            "spec": self.datamodule.spec.to_dict(),
            "provenance": provenance(),
        }
        get = lambda key: self._get(self.config_init, key)  # noqa: E731
        get("checkpoint").about = about
        fit = self.subcommand == "fit"
        self.recorder = Recorder(self.run_dir, config, get("run"), self.model, self.datamodule, fit=fit)
        if self.section.get("init_from"):
            self.recorder.about["init_from"] = str(resolve_checkpoint(self.section.init_from).resolve())
        plugins = [*(self.section.trainer.plugins or []), AtomicCheckpointIO(), *cluster.plugins()]
        extra = [parts.Reproducible(), self.recorder, *sweep_trial.callbacks()]
        if self.section.trainer.enable_progress_bar is not False:
            extra.append(TrainingProgress(log=self.log) if fit else EvaluationProgress())
        given = get("trainer").logger
        loggers = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
        settings = {
            "default_root_dir": str(self.run_dir.root),
            "logger": [*self.recorder.loggers, *loggers],
            "plugins": plugins,
        }
        get("trainer").callbacks = [*(get("trainer").callbacks or []), *extra]
        with lightnings_errors():
            return super().instantiate_trainer(**{**settings, **kwargs})

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        frozen.restore([self.model, self.datamodule], self.frozen, resumed=self.ckpt_path is not None)
        if isinstance(self.model, GenerativeModel):
            self.model.check_parts()
        if self.section.init_from and not self.ckpt_path:
            initialise(self.model, self.section.init_from)

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing yet: `execute` runs it, so that a caller has the object when training is stopped."""

    def execute(self) -> None:
        """Run the command."""
        arguments = self._prepare_subcommand_kwargs(self.subcommand)
        arguments["ckpt_path"] = str(self.ckpt_path) if self.ckpt_path else None
        steps.check(self.subcommand, self.model, self.ckpt_path, self.trainer.world_size)
        if self.subcommand != "fit":
            ema = self._get(self.config_init, "ema").decays
            note(remarks.before_evaluation(self.model, ema, self.plan.step, self.ckpt_path))
        with lightnings_errors():
            result = getattr(self.trainer, self.subcommand)(**arguments)
        if self.subcommand == "fit" and self.trainer.is_global_zero:
            note(remarks.after_fit(self.trainer, self.run_dir, self.recorder.began))
        if self.subcommand == "predict" and result:
            print(f"written to {steps.write(result, self.datamodule.spec, self.run_dir, self.ckpt_path)}")
