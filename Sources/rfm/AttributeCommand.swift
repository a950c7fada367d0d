import ArgumentParser
import Evaluation
import ForgeryMining
import MessagePassing
import Reports

struct AttributeCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "attribute",
    abstract: "Name the method behind fake images by their similarity with prototypes.",
    discussion: """
      Writes attribution.json: accuracy and confusion matrix, plain (cosine similarity of \
      normalised maps) and centred (the prototypes' mean taken off both sides), and the similarity \
      of the prototypes with each other. An image whose largest similarity is below the threshold \
      that was chosen on validation data (see rfm prototypes) counts as made by an unknown method; \
      how well that works is told for methods without a prototype, and for each method as if it had \
      none (left out).

      Example:
        rfm attribute --checkpoint runs/demo/checkpoints/best --prototypes prototypes.h5 \\
          --data 'd/test-*.h5' --output out
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: DataOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Option(
    help: "The prototypes, from rfm prototypes or a checkpoint's prototypes.h5.",
    transform: pathToRead)
  var prototypes: String

  @Option(help: "Folder for attribution.json; made if it isn't there.", transform: pathToWrite)
  var output: String

  func run(_ communicator: Communicator) throws {
    let report = try AttributionJob.run(
      detector.load(for: data, communicator), prototypes: prototypes, data: data.data,
      output: output,
      batch: detector.workers.batch, communicator: communicator,
      workers: detector.workers.pool(communicator), warn: { say("warning: \($0)") })
    guard let report else { return }
    if let warning = try PrototypeImages.warning(prototypes: prototypes, data: data.data) {
      say("warning: \(warning)")
    }
    let evaluation = report.evaluation
    print("images             \(evaluation.known), and \(evaluation.unknown) by other methods")
    for kind in AttributionKind.allCases {
      let result = evaluation[kind]
      print("\(kind.rawValue)\(kind == evaluation.preferred ? " (preferred)" : "")")
      print("  accuracy                   \(figure(result.confusion.accuracy))")
      print("  unknown below similarity   \(figure(result.rejection?.value))")
      print("  known accepted             \(figure(result.rejection?.acceptedKnown))")
      print("  unknown rejected           \(figure(result.rejection?.rejectedUnknown))")
      print("  AUROC, known or unknown    \(figure(result.knownAgainstUnknown))")
      print("  left-out rejected          \(figure(result.rejectedLeftOut))")
      print("  AUROC, known or left out   \(figure(result.knownAgainstLeftOut))")
    }
    printLines("written to         \(output)/attribution.json")
  }
}
