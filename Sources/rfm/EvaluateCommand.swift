import ArgumentParser
import Evaluation
import Images
import MessagePassing

struct EvaluateCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Score the images of shards and measure detection.",
    discussion: """
      Writes metrics.json (AUC, AP, accuracy, EER, TPR at FPR 1e-2, 1e-3 and 1e-4; overall, per \
      method against all real images, and per source) and scores.csv. Where shards have masks, \
      also how much of FAM and CAM falls inside the forged region.

      --degrade measures on degraded images: jpeg=Q (quality), blur=S (sigma in pixels), noise=S \
      (sigma in grey levels), resize=F (down to that share of the sides, and back).

      Examples:
        rfm evaluate --checkpoint runs/demo/checkpoints/best --data 'd/test-*.h5' --output out
        rfm evaluate --checkpoint runs/demo/checkpoints/best --data 'd/test-*.h5' --degrade jpeg=50 \\
          --output out-jpeg
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: DataOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Option(
    help: "Folder for metrics.json and scores.csv; made if it isn't there.", transform: pathToWrite)
  var output: String

  @Flag(inversion: .prefixedNo, help: "Measure localisation where shards have masks.")
  var localisation = true

  @Option(
    help: ArgumentHelp(
      "Degrade the images first. May be given several times, to be applied one after another.",
      valueName: "kind=strength"))
  var degrade: [Degradation] = []

  func run(_ communicator: Communicator) throws {
    let report = try EvaluationJob.run(
      detector.load(for: data, communicator), data: data.data, output: output,
      degradations: degrade,
      localises: localisation, batch: detector.workers.batch, communicator: communicator,
      workers: detector.workers.pool(communicator), warn: { say("warning: \($0)") })
    guard let report else { return }
    for note in report.maskNotes { say("warning: \(note)") }
    let overall = report.metrics.overall
    print("images          \(report.images) (\(overall.real) real, \(overall.fake) fake)")
    print("AUC             \(figure(overall.auc))")
    print("AP              \(figure(overall.averagePrecision))")
    print("accuracy        \(figure(overall.accuracy))")
    print("EER             \(figure(overall.eer))")
    for (name, rate) in zip(DetectionMetrics.falsePositiveRateNames, overall.truePositiveRates) {
      print("TPR at FPR \(name) \(figure(rate))")
    }
    if let scored = report.localisation.values.map(\.overall.images).max() {
      print("localisation    over \(scored) of \(overall.fake) fake images")
    }
    printLines("written to      \(output)/metrics.json, \(output)/scores.csv")
  }
}
