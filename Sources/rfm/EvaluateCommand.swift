import ArgumentParser
import Evaluation
import Foundations
import Images
import MessagePassing
import Reports

struct EvaluateCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Score the images of shards and measure detection.",
    discussion: """
      Writes metrics.json (AUC, AP, accuracy, EER, TPR at FPR 1e-2, 1e-3 and 1e-4; overall, per \
      method against all real images, per source, and per video where images are frames of videos) and \
      scores.csv. Where shards have masks, also how much of FAM and CAM falls inside the forged region.

      Several data sets are given as NAME=GLOB each: the folder then has these files in a folder a data \
      set, and data-sets.json and data-sets.md with all figures and their means over the data sets.

      --bootstrap tells 95 % intervals, by drawing sources anew (not frames, which resemble one \
      another). --against tells whether the AUC is another than that of another detector on the same \
      images (DeLong's test).

      --degrade measures on degraded images: jpeg=Q (quality), blur=S (sigma in pixels), noise=S \
      (sigma in grey levels), resize=F (down to that share of the sides, and back).

      Examples:
        rfm evaluate --checkpoint runs/demo/checkpoints/best --data 'd/test-*.h5' --output out
        rfm evaluate --checkpoint runs/demo/checkpoints/best --data 'd/test-*.h5' --degrade jpeg=50 \\
          --output out-jpeg
        rfm evaluate --checkpoint runs/demo/checkpoints/best --data FF=ff/test-*.h5 \\
          --data Celeb-DF=cdf/test-*.h5 --bootstrap 2000 --output tables
        rfm evaluate --checkpoint runs/other/checkpoints/best --data 'd/test-*.h5' \\
          --against out/scores.csv --output out-other
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: NamedDataOptions
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

  @Option(
    help: ArgumentHelp(
      "Tell 95 % intervals, of so many draws of sources; \(SourceBootstrap.usualDraws) are usual.",
      valueName: "draws"))
  var bootstrap: Int?

  @Option(help: ArgumentHelp("Seed of these draws.", valueName: "number"))
  var bootstrapSeed: UInt64 = 0

  @Flag(
    help:
      "Take images that name no source for independent of one another, as photos of many people."
  )
  var independentImages = false

  @Option(
    help: ArgumentHelp(
      "scores.csv of another detector on the same images, to compare AUCs with.", valueName: "file"),
    transform: pathToRead)
  var against: String?

  func validate() throws {
    guard (100...1_000_000).contains(bootstrap ?? 100) else {
      throw ValidationError("--bootstrap takes 100 to 1000000 draws, not \(bootstrap ?? 0)")
    }
    guard try against == nil || data.sets.count == 1 else {
      throw ValidationError("--against compares on one data set, but --data names several")
    }
  }

  func run(_ communicator: Communicator) throws {
    var settings = try EvaluationJob.Settings(data: data.sets, output: output)
    settings.degradations = degrade
    settings.localises = localisation
    settings.batch = detector.workers.batch
    settings.bootstrap = bootstrap.map { SourceBootstrap(draws: $0, seed: bootstrapSeed) }
    settings.imagesAreIndependent = independentImages
    settings.against = against
    let found = try EvaluationJob.run(
      detector.load(takingAnyPreprocessing: data.anyPreprocessing, communicator), settings,
      communicator: communicator, workers: detector.workers.pool(communicator),
      warn: { say("warning: \($0)") })
    switch found {
    case nil: return
    case .single(let report):
      for note in report.notes { say("warning: \(note)") }
      print(EvaluationText.lines(report).joined(separator: "\n"))
      printLines("written to      \(output)/metrics.json, \(output)/scores.csv")
    case .several(let report):
      for note in report.sets.flatMap(\.report.notes) { say("warning: \(note)") }
      printLines(try DataSetTable.write(report, to: output), terminator: "")
      say("written to \(output)/data-sets.json, \(output)/data-sets.md, and a folder each")
    }
  }
}
