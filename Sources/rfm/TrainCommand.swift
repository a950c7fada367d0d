import ArgumentParser
import Configuration
import Foundations
import MessagePassing
import Reports
import SyntheticFaces
import Training

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a detector by Representative Forgery Mining.",
    discussion: """
      Each step: the Forgery Attention Map of images to be erased (where the detector is sensitive), \
      Suspicious Forgeries Erasing (random blocks there), and an update on what is left. Rank 0 \
      writes the run folder runs/NAME: config.yaml, environment.json, metrics.jsonl, TensorBoard's \
      event files and checkpoints/, of which `latest` and `best` (by validation AUC) are links; at \
      the end also report.html.

      SIGTERM or SIGUSR1 ends a training with status 75 as soon as the step is done and saved; \
      --resume does what else was due then, such as a validation, and goes on to the same result.

      Examples:
        rfm train --config configs/quickstart.yaml
        mpirun -np 4 --bind-to none rfm train --config dffd.yaml --set training.threads=8
        rfm train --config dffd.yaml --resume

      Keys of the configuration:
      \(Configuration.help)
      """)

  @Option(
    help: "YAML file; every key but the data paths has a default.",
    transform: pathToRead)
  var config: String

  @Option(help: "Overrides one key, such as training.steps=100. May be given several times.")
  var set: [String] = []

  @Flag(help: "Continue the run from its newest checkpoint, or begin it.")
  var resume = false

  @Option(
    help: ArgumentHelp(
      "With --resume: a key that may differ from the run's so far although it changes the result.",
      valueName: "key"))
  var force: [String] = []

  @Flag(help: "Only open the data, load the weights, say what they are, and end.")
  var check = false

  func run() throws {
    let configuration = try Configuration.load(path: config, overrides: set)
    if check {
      return try WatchedRanks.run(configuration) { communicator in
        let lines = try TrainingCheck.describe(configuration, communicator: communicator)
        if communicator.isRoot { printLines(lines.joined(separator: "\n")) }
      }
    }
    let outcome = try WatchedRanks.run(configuration) { communicator in
      let outcome = try train(configuration, communicator)
      guard outcome == .finished else { return outcome }
      return ReportJob.finish(configuration, communicator: communicator, say: say)
        ? .finished : .stopped
    }
    if outcome == .stopped { throw ExitCode(ExitStatus.stopped.rawValue) }
  }

  /// The trainer and its memory are gone before the report is made.
  private func train(
    _ configuration: Configuration, _ communicator: Communicator
  ) throws -> Trainer.Outcome {
    try Trainer(
      configuration, resume: resume, forced: force, communicator: communicator,
      observers: configuration.run.tensorboard ? [TensorBoardLog()] : [], say: say
    ).run()
  }
}
