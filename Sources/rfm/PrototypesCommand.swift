import ArgumentParser
import Evaluation
import ForgeryMining
import Foundations
import MessagePassing
import Reports
import SyntheticFaces

struct PrototypesCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "prototypes",
    abstract: "Average the attention maps of each manipulation method.",
    discussion: """
      The prototype of a method is the mean normalised Forgery Attention Map of its fake images: \
      its representative forgery. Writes an HDF5 file and, beside it, a heatmap of each method, a \
      picture of all, and a page that names them. The next images of each method say whether plain \
      or centred attribution is more accurate.

      Example:
        rfm prototypes --checkpoint runs/demo/checkpoints/best --data 'd/validation-*.h5' \\
          --output prototypes.h5
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: DataOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Option(help: "The HDF5 file to write; the heatmaps go beside it.", transform: pathToWrite)
  var output: String

  @Option(help: "Fake images of each method that are averaged.")
  var imagesPerMethod = 100

  func validate() throws {
    guard imagesPerMethod >= 1 else {
      throw ValidationError("--images-per-method takes 1 or more, not \(imagesPerMethod)")
    }
  }

  func run(_ communicator: Communicator) throws {
    let file = try PrototypesJob.run(
      detector.load(for: data, communicator), data: data.data, imagesPerMethod: imagesPerMethod,
      output: output,
      batch: detector.workers.batch, communicator: communicator,
      workers: detector.workers.pool(communicator), warn: { say("warning: \($0)") })
    guard let file else { return }
    let prototypes = file.prototypes
    for (method, count) in zip(prototypes.methods, prototypes.counts) {
      print("\(printable(method)): \(count) images")
    }
    print("similarity of the prototypes (cosine):")
    for (method, row) in zip(prototypes.methods, prototypes.similarityMatrix()) {
      print("  \(row.map { fixed($0, 3) }.joined(separator: " "))  \(printable(method))")
    }
    let calibration = file.calibration
    print("attribution on held-out images, plain: \(figure(calibration.plainAccuracy))")
    print("attribution on held-out images, centred: \(figure(calibration.centredAccuracy))")
    for (kind, area) in [
      (AttributionKind.plain, calibration.plainAreaUnderROC),
      (.centred, calibration.centredAreaUnderROC),
    ] {
      print(
        "unknown below similarity, \(kind.rawValue): \(figure(calibration.threshold(kind))), AUROC "
          + "of known against left-out methods \(figure(area))")
    }
    let pictures = try PrototypePictures.write(
      prototypes: prototypes.maps, methods: prototypes.methods,
      counts: prototypes.counts.map { Int($0) }, width: prototypes.width,
      height: prototypes.height, beside: output)
    printLines("written to \(output), \(pictures[0])")
  }
}
