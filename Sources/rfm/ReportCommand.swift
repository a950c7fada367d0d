import ArgumentParser
import MessagePassing
import Reports

struct ReportCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Show a run on one page: curves, detection, attribution, prototypes, examples.",
    discussion: """
      Writes report.html into the run folder: one page that needs no other file and no network. Its \
      detector is evaluated on the run's validation images, or on those of --data; of a large set \
      an even part is taken. What a run lacks is left out with a sentence. `rfm train` writes the \
      same page when it ends, unless run.report is false. Beside the page it writes the model's card, \
      model-card.md, for people and model hubs.

      Examples:
        rfm report runs/demo
        mpirun -np 2 rfm report runs/demo --data 'd/test-*.h5' --output test.html
        rfm evaluate --checkpoint runs/demo/checkpoints/best --data FF='ff/test-*.h5' \\
          --data Celeb-DF='cdf/test-*.h5' --bootstrap 2000 --output out
        rfm report runs/demo --data-sets out/data-sets.json
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"), transform: pathToRead)
  var folder: String

  @Option(
    help: "best, latest, or a checkpoint folder. Default: the best, or else the latest.",
    transform: pathToRead)
  var checkpoint: String?

  @Option(
    help: ArgumentHelp(
      "Shards: paths or patterns, quoted so that the shell leaves them alone ('d/test-*.h5'). May "
        + "be given several times. Default: the run's validation shards.", valueName: "glob"),
    transform: pathToRead)
  var data: [String] = []

  @Option(
    help: ArgumentHelp(
      "A data-sets.json that rfm evaluate made of this detector and --data NAME=GLOB: the model's card "
        + "then has the figures of these data sets too.", valueName: "file"),
    transform: pathToRead)
  var dataSets: String?

  @Option(
    help: "The page to write. Default: report.html in the run folder.", transform: pathToWrite)
  var output: String?

  @Option(help: "Images that are scored at the most, about; a quarter as many fakes are mapped.")
  var images = 4096

  @OptionGroup var workers: WorkerOptions
  @OptionGroup var watchdog: WatchdogOptions

  func validate() throws {
    guard images >= 4 else { throw ValidationError("--images takes 4 or more, not \(images)") }
  }

  func run(_ communicator: Communicator) throws {
    var settings = ReportJob.Settings(run: folder)
    settings.checkpoint = checkpoint
    settings.data = data
    settings.dataSets = dataSets
    settings.output = output
    settings.batch = workers.batch
    settings.scored = images
    settings.mapped = images / 4
    let path = try ReportJob.run(
      settings, communicator: communicator, workers: workers.pool(communicator)
    ) { say("warning: \($0)") }
    if communicator.isRoot { printLines("written to \(path)") }
  }
}
