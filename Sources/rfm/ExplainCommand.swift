import ArgumentParser
import FaceShards
import Faces
import Foundations
import MessagePassing
import Reports
import SyntheticFaces

struct ExplainCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract:
      "Say of images, faces in photos and videos how likely they are fake, by which method, and show where.",
    discussion: """
      Prints a JSON object an image to standard output: probability of fake, the likeliest method \
      with its similarity (if there are prototypes), and the thresholds used. With --output it also \
      draws each image, the Forgery Attention Map and the class activation map over it, what SFE \
      would erase, and all four side by side, and writes a page that shows them with what was said: \
      index.html in that folder, which opens without a network.

      Where faces are looked for, there is an object a face, the largest first, with the box in which \
      it was found. Of a video --frames frames are looked at, evenly spaced, and in each the face that \
      is followed from the first frame's largest; another object tells of the video itself, whose \
      probability is the mean over its frames with a face. The page shows the photo with the faces in \
      boxes, and the video's course over time with the frames that are most likely fake.

      Faces are cut out exactly as those that the detector was trained on, if it says how they were \
      (rfm inspect tells), and otherwise as pack does by default. They are looked for in videos, and in \
      images if they were for training. An option that contradicts the detector is refused without \
      --any-preprocessing.

      Probabilities are calibrated if the detector is (calibrated in the output), as a training \
      with validation images does by itself, and rfm calibrate. --false-alarm-rate and --miss-rate \
      then give a third verdict, unsure, where neither rate could be kept.

      Images are JPEG, PNG, WebP, TIFF, BMP, GIF (the first frame), AVIF, HEIF (HEIC) or PNM, videos \
      whatever FFmpeg reads; folders are searched with everything below them, and - is standard input: \
      an image, or a list of files and folders, one a line (or separated by zero bytes). What is \
      neither, or shows no face, is named and passed over.

      Examples:
        rfm explain --checkpoint runs/demo/checkpoints/best face.jpg --output explained
        rfm explain --checkpoint runs/demo/checkpoints/best photo.jpg film.mp4 --output explained
        mpirun -np 2 rfm explain --checkpoint runs/demo/checkpoints/best faces/ > faces.jsonl
        find faces -type f -newer last | rfm explain --checkpoint runs/demo/checkpoints/best -
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Argument(
    help: ArgumentHelp(
      "Image and video files, folders, or - for an image or a list of files on standard input.",
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

  @Option(
    help: "Images, faces and videos at least this likely to be fake are called fake. (default: 0.5)"
  )
  var threshold: Double?

  @Option(
    help: ArgumentHelp(
      "With --miss-rate, in place of --threshold: images are called fake from where on at most this "
        + "share of the real images was, among those that the detector was calibrated with.",
      valueName: "share"))
  var falseAlarmRate: Double?

  @Option(
    help: ArgumentHelp(
      "And real below where at most this share of the fakes was; between the two they are unsure.",
      valueName: "share"))
  var missRate: Double?

  @Option(
    help: ArgumentHelp(
      "Height and width that images and faces are brought to before the centre crop, as pack did for "
        + "the training images. (default: of faces that are found as the detector says, else 8/7 of the "
        + "crop, 256 for 224)", valueName: "pixels"))
  var size: Int?

  @Option(
    help: ArgumentHelp(
      "Whether faces are looked for (detect), or pictures taken as they are (keep). (default: detect in "
        + "videos, and in images if the detector was trained on faces that were looked for)"))
  var faces: FaceHandling?

  @Option(
    help: ArgumentHelp("The most frames of a video that are looked at.", valueName: "count"))
  var frames = 32

  @Option(
    help: ArgumentHelp(
      "Side of what is cut out, over that of the face's box. (default: as the detector says, else 1.3)",
      valueName: "factor"))
  var margin: Double?

  @Option(
    help: ArgumentHelp(
      "How a face is cut out: its box, squared (none), or turned and scaled by its landmarks "
        + "(similarity). (default: as the detector says, else none)"))
  var align: FaceCropSettings.Alignment?

  @Flag(
    inversion: .prefixedNo,
    help: "Detect faces in grey, as FaceForensics++ does. (default: as the detector says, else not)"
  )
  var detectGrey: Bool?

  @Option(
    help: ArgumentHelp(
      "Landmark model in dlib's format, of 68 points or 81: that of the training's faces. (default: "
        + "Debian's libdlib-data, where faces are aligned)", valueName: "file"),
    transform: pathToRead)
  var landmarkModel: String?

  @Flag(help: "Take faces that are cut out otherwise than those that the detector was trained on.")
  var anyPreprocessing = false

  func validate() throws {
    guard (0...1).contains(threshold ?? 0.5) else {
      throw ValidationError("--threshold takes 0 to 1, not \(threshold ?? 0)")
    }
    guard (falseAlarmRate == nil) == (missRate == nil) else {
      throw ValidationError("--false-alarm-rate and --miss-rate go together: give both")
    }
    for (option, rate) in [("false-alarm", falseAlarmRate), ("miss", missRate)] {
      if let rate, !(rate > 0 && rate < 1) {
        throw ValidationError("--\(option)-rate takes a share above 0 and below 1, not \(rate)")
      }
    }
    guard threshold == nil || missRate == nil else {
      throw ValidationError(
        "--threshold says where fake begins, and so do the rates: give one of them")
    }
    guard (1...16384).contains(size ?? 1) else {
      throw ValidationError("--size takes 1 to 16384 pixels, not \(size ?? 0)")
    }
    guard images.count(where: { $0 == "-" }) <= 1 else {
      throw ValidationError("- can be given only once: there is one standard input")
    }
    guard (1...10_000).contains(frames) else {
      throw ValidationError("--frames takes 1 to 10000, not \(frames)")
    }
    if faces == .keep, let option = cropOption {
      throw ValidationError(
        "\(option) says how faces are cut out, but --faces keep takes pictures as they are")
    }
    guard !images.isEmpty else { throw ValidationError("give at least one image") }
  }

  /// The first option that says how faces are cut out, if one is given.
  private var cropOption: String? {
    margin != nil
      ? "--margin"
      : align != nil
        ? "--align"
        : detectGrey != nil ? "--detect-grey" : landmarkModel != nil ? "--landmark-model" : nil
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
    settings.threshold = threshold ?? 0.5
    if let falseAlarmRate, let missRate {
      try settings.keep(falseAlarmRate: falseAlarmRate, missRate: missRate, by: loaded)
    }
    settings.frames = frames
    settings.faces.faces = faces
    settings.faces.margin = margin
    settings.faces.alignment = align
    settings.faces.detectsInGrey = detectGrey
    settings.faces.size = size
    settings.faces.landmarkModel = landmarkModel
    settings.faces.takesAnyPreprocessing = anyPreprocessing
    settings.batch = detector.workers.batch
    settings.threads = workers.count
    var progress: ProgressLine?
    let summary = try ExplanationJob.run(
      loaded, settings, communicator: communicator, workers: workers,
      tell: { say("rfm: \($0)") },
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
          + "\(summary.skippedInWords): \(summary.kindsInWords)")
    }
    if let page = summary.page { say("rfm: the pictures are on \(page)") }
  }
}
