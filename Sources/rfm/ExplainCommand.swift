import ArgumentParser
import Foundations
import MessagePassing
import Reports
import SyntheticFaces

struct ExplainCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say of image files how likely they are fake, by which method, and show where.",
    discussion: """
      Prints a JSON object an image to standard output: probability of fake, the likeliest method \
      with its similarity (if there are prototypes), and the thresholds used. With --output it also \
      draws each image, the Forgery Attention Map and the class activation map over it, what SFE \
      would erase, and all four side by side, and writes a page that shows them with what was said: \
      index.html in that folder, which opens without a network.

      Images are JPEG, PNG, WebP, TIFF, BMP, GIF (the first frame), AVIF, HEIF (HEIC) or PNM; folders \
      are searched with everything below them, and - is standard input: an image, or a list of files \
      and folders, one a line (or separated by zero bytes). What is not an image is named and passed \
      over.

      Examples:
        rfm explain --checkpoint runs/demo/checkpoints/best face.jpg --output explained
        mpirun -np 2 rfm explain --checkpoint runs/demo/checkpoints/best faces/ > faces.jsonl
        find faces -type f -newer last | rfm explain --checkpoint runs/demo/checkpoints/best -
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Argument(
    help: ArgumentHelp(
      "Image files, folders, or - for an image or a list of files on standard input.",
      valueName: "image"), transform: pathToRead)
  var images: [String]

  @Option(
    help:
      "Folder for the pictures and their page; made if it isn't there. Without it none are drawn.",
    transform: pathToWrite)
  var output: String?

  @Option(
    help: "A prototypes file. Default: the checkpoint's own, if it has one.", transform: pathToRead)
  var prototypes: String?

  @Option(help: "Images at least this likely to be fake are called fake.")
  var threshold = 0.5

  @Option(
    help: ArgumentHelp(
      "Height and width that images are brought to before the centre crop, as pack did for the "
        + "training images. (default: 8/7 of the crop, 256 for 224)", valueName: "pixels"))
  var size: Int?

  func validate() throws {
    guard (0...1).contains(threshold) else {
      throw ValidationError("--threshold takes 0 to 1, not \(threshold)")
    }
    guard (1...16384).contains(size ?? 1) else {
      throw ValidationError("--size takes 1 to 16384 pixels, not \(size ?? 0)")
    }
    guard images.count(where: { $0 == "-" }) <= 1 else {
      throw ValidationError("- can be given only once: there is one standard input")
    }
    guard !images.isEmpty else { throw ValidationError("give at least one image") }
  }

  func run(_ communicator: Communicator) throws {
    let loaded = try detector.load(communicator)
    if let size, size < loaded.crop {
      throw ValidationError("--size is \(size), less than the detector's crop of \(loaded.crop)")
    }
    let workers = try detector.workers.pool(communicator)
    var settings = ExplanationJob.Settings(inputs: images)
    settings.output = output
    settings.prototypes = prototypes
    settings.threshold = threshold
    settings.size = size
    settings.batch = detector.workers.batch
    settings.threads = workers.count
    var progress: ProgressLine?
    let summary = try ExplanationJob.run(
      loaded, settings, communicator: communicator, workers: workers,
      progress: { done, total in
        guard communicator.isRoot, total > settings.batch else { return }
        if progress == nil { progress = ProgressLine("image", total: total) }
        progress?.update(done)
      },
      emit: { print(try $0.line()) })
    progress?.finish()
    for note in summary.notes + summary.skipped.map({ $0 + "; passed over" }) {
      say("rfm: \(note)")
    }
    if !summary.skipped.isEmpty {
      say(
        "rfm: \(summary.skipped.count) of \(summary.skipped.count + summary.explained) files "
          + "are not images that can be read: \(summary.kindsInWords)")
    }
    if let page = summary.page { say("rfm: the pictures are on \(page)") }
  }
}
