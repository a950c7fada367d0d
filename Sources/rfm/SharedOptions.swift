import ArgumentParser
import Checkpoints
import Configuration
import Evaluation
import Foundation
import Foundations
import Images
import MessagePassing
import Networks
import Tensors

extension DetectorName: ExpressibleByArgument {}
extension AttentionKind: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
extension Degradation: ExpressibleByArgument {}
extension ClassOrder: ExpressibleByArgument {}
extension HeadForm: ExpressibleByArgument {}

extension ChannelValues: ExpressibleByArgument {
  public init?(argument: String) { self.init(parsing: argument) }
}

/// A path that is read, with `~` and variables replaced where no shell did.
@Sendable func pathToRead(_ argument: String) throws -> String {
  try usable { try PathExpansion.expandUnlessThere(argument) }
}

/// A path that is written, likewise.
@Sendable func pathToWrite(_ argument: String) throws -> String {
  try usable { try PathExpansion.expand(argument) }
}

private func usable(_ path: () throws -> String) throws -> String {
  do {
    return try path()
  } catch let failure as PathExpansion.Failure {
    throw ValidationError(failure.description)
  }
}

/// Which detector a command takes.
struct WeightsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A checkpoint folder (runs/NAME/checkpoints/best), or bare weights: a safetensors or "
        + "PyTorch file, or an index of several."),
    transform: pathToRead)
  var checkpoint: String

  @Option(
    help: ArgumentHelp(
      "What bare weights are; a checkpoint says so itself. (default: as their metadata and "
        + "shapes say)"))
  var model: DetectorName?

  @Option(
    help: "Input size in pixels of bare weights. (default: as their metadata say, or else 224)")
  var crop: Int?

  @Option(
    help: ArgumentHelp(
      "What is taken off pixels of 0 to 1 for bare weights, one number or three (red,green,blue). "
        + "(default: as their metadata say, or else 0.5)", valueName: "numbers"))
  var mean: ChannelValues?

  @Option(
    help: ArgumentHelp(
      "What they are then divided by, likewise. (default: as their metadata say, or else 0.25)",
      valueName: "numbers"))
  var std: ChannelValues?

  @Option(
    help: ArgumentHelp(
      "Which class of bare weights comes first: \(ClassOrder.realFake.rawValue), or "
        + "\(ClassOrder.fakeReal.rawValue) as folders are sorted. (default: as their metadata say, or "
        + "else real,fake)"))
  var classes: ClassOrder?

  @Option(
    help: ArgumentHelp(
      "The head of bare weights: linear or softmax, two logits; sigmoid, one, of the second class; or "
        + "patch, two at each position of the last map. (default: as their metadata say, or else linear)"
    ))
  var head: HeadForm?

  @Option(
    help: ArgumentHelp(
      "The stage in which the network of bare weights ends, such as layer2 of resnet18. (default: as "
        + "their metadata say, or else none: it is whole)", valueName: "stage"))
  var truncate: String?

  func validate() throws {
    if let crop, !(DetectorName.smallestCrop...4096).contains(crop) {
      throw ValidationError(
        "--crop takes \(DetectorName.smallestCrop) to 4096 pixels, not \(crop)")
    }
    if let std, !std.all.allSatisfy({ Float($0) > 0 && Float($0).isFinite }) {
      throw ValidationError("--std takes numbers above 0, not \(std)")
    }
    if let mean, !mean.all.allSatisfy({ Float($0).isFinite }) {
      throw ValidationError("--mean takes numbers such as 0.5, not \(mean)")
    }
  }

  /// The same on all ranks. Collective.
  func load(_ communicator: Communicator) throws -> LoadedDetector {
    try LoadedDetector(
      opening: checkpoint,
      asked: WeightsUse(
        model: model, crop: crop, mean: mean, std: std, classes: classes, head: head,
        truncate: truncate), communicator: communicator
    ) { say("\($0)") }
  }
}

/// Which detector a command applies, and how.
struct DetectorOptions: ParsableArguments {
  @OptionGroup var weights: WeightsOptions
  @OptionGroup var workers: WorkerOptions

  /// The same on all ranks. Collective.
  func load(_ communicator: Communicator) throws -> LoadedDetector {
    try weights.load(communicator)
  }

  /// The same, to apply it to `data`.
  func load(for data: DataOptions, _ communicator: Communicator) throws -> LoadedDetector {
    try load(takingAnyPreprocessing: data.anyPreprocessing, communicator)
  }

  func load(
    takingAnyPreprocessing: Bool, _ communicator: Communicator
  ) throws -> LoadedDetector {
    let loaded = try load(communicator)
    loaded.takesAnyPreprocessing = takingAnyPreprocessing
    return loaded
  }
}

/// Which images a command reads.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Shards: paths or patterns, quoted so that the shell leaves them alone ('d/test-*.h5'). May "
        + "be given several times.", valueName: "glob"), transform: pathToRead)
  var data: [String]

  @Flag(
    help: ArgumentHelp(
      "Take images whose faces were cut out otherwise than those that the detector was trained on.")
  )
  var anyPreprocessing = false
}

/// Which images a command reads, of one data set or of several.
struct NamedDataOptions: ParsableArguments {
  @Option(
    name: .customLong("data"),
    help: ArgumentHelp(
      "Shards: paths or patterns, quoted so that the shell leaves them alone ('d/test-*.h5'). May "
        + "be given several times: all of them are one data set, or each its own as NAME=GLOB.",
      valueName: "[name=]glob"),
    transform: { argument in
      let (name, pattern) = EvaluationData.split(argument)
      return NamedPattern(name: name, pattern: try pathToRead(pattern))
    })
  var patterns: [NamedPattern]

  @Flag(
    help: ArgumentHelp(
      "Take images whose faces were cut out otherwise than those that the detector was trained on.")
  )
  var anyPreprocessing = false

  /// A pattern of shards, with the name of its data set.
  struct NamedPattern: Sendable {
    var name: String?
    var pattern: String
  }

  var sets: [EvaluationData] {
    get throws { try EvaluationData.sets(of: patterns.map { ($0.name, $0.pattern) }) }
  }

  func validate() throws {
    do {
      _ = try sets
    } catch let refusal as EvaluationData.Refusal {
      throw ValidationError(refusal.description)
    }
  }
}

/// How a rank works.
struct WorkerOptions: ParsableArguments {
  @Option(help: "Worker threads of a rank. Default: its share of the node's cores.")
  var threads: Int?

  @Option(help: "Images of a rank that are run at a time.")
  var batch = 32

  func validate() throws {
    guard ThreadShare.range.contains(threads ?? 1) else {
      throw ValidationError("--threads takes \(ThreadShare.limits), not \(threads ?? 0)")
    }
    guard (1...4096).contains(batch) else { throw ValidationError("--batch takes 1 to 4096") }
  }

  /// Collective.
  func pool(_ communicator: Communicator) throws -> WorkerPool {
    WorkerPool(threads: try ThreadShare.threads(threads, communicator))
  }
}

/// How long ranks wait for one another, of a command without a configuration.
struct WatchdogOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A rank that has waited so long for one that does nothing says which, and ends the job; 0: it "
        + "waits for ever.", valueName: "seconds"))
  var watchdogSeconds = Configuration().communication.watchdogSeconds

  func validate() throws {
    guard (0...1_000_000).contains(watchdogSeconds) else {
      throw ValidationError("--watchdog-seconds takes 0 to 1000000, not \(watchdogSeconds)")
    }
  }
}

/// A command without a configuration that any number of ranks do together.
protocol RankCommand: ParsableCommand {
  var watchdog: WatchdogOptions { get }

  /// This rank's part.
  func run(_ communicator: Communicator) throws
}

extension RankCommand {
  func run() throws {
    try WatchedRanks.run(
      seconds: watchdog.watchdogSeconds, setting: "--watchdog-seconds", run)
  }
}

/// A line on standard error, from rank 0. It may quote what a file says.
func say(_ line: String) {
  guard MessagePassing.rank == 0 else { return }
  writeToStandardError(printable(line, limit: 4000) + "\n")
}

/// Lines on standard output. They may quote what a file says, or what files are called.
func printLines(_ text: String, terminator: String = "\n") {
  print(fitForTerminal(text), terminator: terminator)
}

/// Lines as they may be shown on a terminal, see `printable`.
func fitForTerminal(_ text: String) -> String {
  text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    .map { printable(String($0), limit: .max) }.joined(separator: "\n")
}

/// A figure for people: four digits, or a dash where it is not defined.
func figure(_ value: Double?) -> String { value.map { fixed($0, 4) } ?? "-" }
