import ArgumentParser
import Comparison
import Configuration
import ForgeryMining
import Foundations
import Networks
import Reports

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Train with each augmentation method and several seeds, and compare.",
    discussion: """
      Trains every method (\(MethodList(methods: ErasingMethodName.allCases))) with the same data, order, budget and seeds, and \
      measures each on test data: AUC, AP, EER and TPR at low FPR, overall and per manipulation \
      method; where FAM and CAM fall against masks; and the same detection on test images degraded by \
      JPEG, blur, noise and resizing. Prints tables of mean and spread over the seeds, and the \
      differences of SFE to each other method paired by seed, in Markdown.

      The folder (--output; default that of the configuration's run) holds comparison.json, \
      comparison.md, and every training as an ordinary run below runs/, of which rfm report makes a \
      page. --leave-out also trains everything without one manipulation method and tests on it. \
      --models does all of it with each of several networks, at the one crop of the configuration.

      SIGTERM or SIGUSR1 ends it after saving, with status 75; --resume goes on where it stopped, \
      however it did.

      Examples:
        mpirun -np 2 --bind-to none rfm compare --config configs/compare.yaml
        rfm compare --config configs/compare.yaml --methods none,sfe --seeds 5 --leave-out each
        rfm compare --config configs/compare.yaml --models xception-tiny,mobilenet-v2 \\
          --output runs/networks
        rfm compare --config configs/compare.yaml --resume
      """)

  @Option(
    help: "YAML file, as for train; augmentation.method in it does not matter.",
    transform: pathToRead)
  var config: String

  @Option(help: "Overrides one key, such as training.steps=100. May be given several times.")
  var set: [String] = []

  @Option(
    help: ArgumentHelp("Augmentation methods, separated by commas.", valueName: "names"))
  var methods = MethodList(methods: ErasingMethodName.allCases)

  @Option(
    help: ArgumentHelp(
      "Networks to train each with, separated by commas, as model.name takes them. Default: the "
        + "model.name of the configuration.", valueName: "names"))
  var models: ModelList?

  @Option(help: "How many seeds: run.seed and the numbers after it.")
  var seeds = 3

  @Option(
    help: ArgumentHelp(
      "A manipulation method to leave out of training and test on, or each. May be given several "
        + "times.", valueName: "method"))
  var leaveOut: [String] = []

  @Option(
    help: ArgumentHelp(
      "Test shards: paths or patterns. Default: data.test of the configuration.",
      valueName: "glob"), transform: pathToRead)
  var data: [String] = []

  @Option(
    help: "Folder of the comparison. Default: the folder of the configuration's run.",
    transform: pathToWrite)
  var output: String?

  @Flag(help: "Continue the comparison that is in the folder, or begin it.")
  var resume = false

  func validate() throws {
    guard (1...1000).contains(seeds) else {
      throw ValidationError("--seeds takes 1 to 1000, not \(seeds)")
    }
    guard output != "" else { throw ValidationError("--output is empty, expected a folder") }
  }

  func run() throws {
    // Rules hold for the networks that are trained, not for the one that the file names.
    let network = models.map { ["model.name=\($0.models[0].rawValue)"] } ?? []
    let configuration = try Configuration.load(path: config, overrides: set + network)
    var settings = ComparisonJob.Settings()
    settings.methods = methods.methods
    settings.models = models?.models ?? []
    settings.seeds = seeds
    settings.leavesOutEach = leaveOut.contains("each")
    settings.leftOut = leaveOut.filter { $0 != "each" }
    settings.data = data
    settings.output = output
    settings.resume = resume
    let isFinished = try WatchedRanks.run(configuration) { communicator in
      let job = try ComparisonJob(
        configuration, settings, communicator: communicator,
        observers: { configuration.run.tensorboard ? [TensorBoardLog()] : [] }, say: say)
      guard case .finished(let comparison) = try job.run() else { return false }
      if let comparison {
        printLines(try ComparisonTable.write(comparison, to: job.output), terminator: "")
        say("written to \(job.output)/comparison.json, \(job.output)/comparison.md")
      }
      return true
    }
    if !isFinished { throw ExitCode(ExitStatus.stopped.rawValue) }
  }
}

/// Augmentation methods, each once, as they stand on the command line.
struct MethodList: ExpressibleByArgument, CustomStringConvertible {
  let methods: [ErasingMethodName]

  init(methods: [ErasingMethodName]) { self.methods = methods }

  init?(argument: String) {
    let names = argument.split(separator: ",", omittingEmptySubsequences: false)
    let methods = names.compactMap { ErasingMethodName(rawValue: String($0)) }
    guard methods.count == names.count, Set(methods).count == methods.count else { return nil }
    self.methods = methods
  }

  var description: String { methods.map(\.rawValue).joined(separator: ",") }
  var defaultValueDescription: String { description }
}

/// Networks, each once, as they stand on the command line.
struct ModelList: ExpressibleByArgument {
  let models: [DetectorName]

  init?(argument: String) {
    let names = argument.split(separator: ",", omittingEmptySubsequences: false)
    let models = names.compactMap { DetectorName(rawValue: String($0)) }
    guard models.count == names.count, Set(models).count == models.count else { return nil }
    self.models = models
  }
}
