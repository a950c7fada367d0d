import ArgumentParser
import MessagePassing
import Training

struct AttributeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attribute",
    abstract: "Name the method behind fake images by their similarity with prototypes.",
    discussion: """
      Writes attribution.json: accuracy and confusion matrix, plain (cosine similarity of \
      normalised maps) and centred (the prototypes' mean taken off both sides), and the similarity \
      of the prototypes with each other.

      Example:
        rfm attribute --checkpoint runs/demo/checkpoints/best --prototypes prototypes.h5 \\
          --data 'd/test-*.h5' --output out
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: DataOptions

  @Option(help: "The prototypes, from rfm prototypes or a checkpoint's prototypes.h5.")
  var prototypes: String

  @Option(help: "Folder for attribution.json; made if it isn't there.")
  var output: String

  func run() throws {
    let communicator = try Communicator.world()
    let report = try AttributionJob.run(
      detector.load(), prototypes: prototypes, data: data.data, output: output,
      batch: detector.workers.batch, communicator: communicator,
      workers: detector.workers.pool(communicator))
    guard let report else { return }
    let evaluation = report.evaluation
    print("images             \(evaluation.known)")
    print("accuracy, plain    \(figure(evaluation.plain.confusion.accuracy))")
    print("accuracy, centred  \(figure(evaluation.centred.confusion.accuracy))")
    print("written to         \(output)/attribution.json")
  }
}
