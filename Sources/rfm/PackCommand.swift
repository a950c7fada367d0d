import ArgumentParser
import FaceShards
import Faces
import Foundation
import Foundations
import MessagePassing
import Synchronization

struct PackCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Pack images and videos of faces into shards.",
    discussion: """
      The input folder is laid out as

        [SPLIT/]real/[SOURCE/…/]FILE
        [SPLIT/]fake/METHOD/[SOURCE/…/]FILE

      or as FaceForensics++, Celeb-DF, DFDC, DFFD, DeepfakeBench or DF40 are, which is recognised and \
      said; --layout names it. --list gives a table of files with their labels, --mapping rules for \
      any other layout.

      SPLIT is train, validation or test; without such folders the images are split by source, so \
      that no video or person is in two splits. SOURCE is the folder below real or METHOD, else the \
      file's name without its extension. Files called VIDEO_0001.png, VIDEO-f0002.png are frames of \
      one source, and a fake called 000_003 is kept together with the sources 000 and 003. The \
      official splits of a data set are used where its files are found, in the input or with \
      --official-splits.

      Common names of the same meaning are read too (Train, valid, dev, 0_real, training_fake, \
      original, manipulated, METHOD/1_fake, fake/METHOD/train, …), and it is said. Links to files and \
      folders are followed. Images that have no place in this are an error, unless --skip leaves them \
      out.

      Of a video N frames are taken (--frames), evenly spaced from the first to the last that decodes, and \
      the face in each is found by dlib's detector and cut out: its box times --margin, squared, as \
      FaceForensics++ does, or with --align similarity rotated and scaled by its landmarks, as \
      DeepfakeBench does. With several faces the one is followed that is largest in the first frame, or the \
      one that the mask marks. --faces detect does the same to images; without it they are \
      taken for faces already, cut to the largest square around their centre, and resized as Pillow's \
      bilinear filter does. Images are JPEG, PNG, WebP, TIFF, BMP, GIF (the first frame), AVIF, HEIF \
      (HEIC) or PNM, told by their content, and are turned upright.

      What can't be decoded or shows no face is named, counted and passed over. A pack that was stopped \
      or killed goes on where it was when the same command is given again.

      EXAMPLES
        rfm pack --input faces --output shards --size 256
        rfm pack --input FaceForensics++ --output shards --compression c23 --frames 32
        rfm pack --input photos --output shards --faces detect --align similarity
        mpirun -np 4 rfm pack --input faces --output shards --split train=0.8,validation=0.1,test=0.1
      """)

  @Option(
    help: ArgumentHelp("Folder of images and videos.", valueName: "dir"), transform: pathToRead)
  var input: String

  @Option(
    help: ArgumentHelp("Folder for the shards, SPLIT-NNNNN.h5.", valueName: "dir"),
    transform: pathToWrite)
  var output: String

  @Option(help: ArgumentHelp("Height and width of the packed images.", valueName: "pixels"))
  var size = 256

  @Option(help: ArgumentHelp("How the input is laid out; auto recognises it and says so."))
  var layout = LayoutKind.auto

  @Option(
    help: ArgumentHelp(
      "Folder with the split files of the data set's authors: train.json, val.json and test.json of "
        + "FaceForensics++, List_of_testing_videos.txt of Celeb-DF, the JSON files of DeepfakeBench, "
        + "tables of DFDC. (default: those in the input)",
      valueName: "dir"),
    transform: pathToRead)
  var officialSplits: String?

  @Option(
    help: ArgumentHelp(
      "Masks of fakes: images or videos called as they are; also the folder of FaceForensics++.",
      valueName: "dir"),
    transform: pathToRead)
  var masks: String?

  @Option(
    help: ArgumentHelp(
      "A list of files, as CSV or text: path label [method] [source] [split].", valueName: "file"),
    transform: pathToRead)
  var list: String?

  @Option(
    help: ArgumentHelp(
      "Rules for a layout of your own, in YAML: patterns with label, method, source and split.",
      valueName: "file"),
    transform: pathToRead)
  var mapping: String?

  @Option(
    help: ArgumentHelp(
      "Which compression of FaceForensics++ to take, as c23, or all.", valueName: "name"))
  var compression: String?

  @Option(
    help: ArgumentHelp(
      "Whether faces are looked for (detect), or pictures taken as they are (keep). (default: detect in "
        + "videos, keep in images)"))
  var faces: FaceHandling?

  @Option(
    help: ArgumentHelp("The most frames that are taken of a video.", valueName: "count"))
  var frames = 32

  @Option(
    help: ArgumentHelp("Side of what is cut out, over that of the face's box.", valueName: "factor")
  )
  var margin = 1.3

  @Option(
    help: ArgumentHelp(
      "How a face is cut out: its box, squared (none), or turned and scaled by its landmarks "
        + "(similarity)."))
  var align = FaceCropSettings.Alignment.none

  @Flag(help: "Detect faces in grey, as FaceForensics++ does.")
  var detectGrey = false

  @Option(
    help: ArgumentHelp(
      "Landmark model in dlib's format, of 68 points or 81; with one, shards have landmarks. (default: "
        + "Debian's libdlib-data, where --align needs one)",
      valueName: "file"),
    transform: pathToRead)
  var landmarkModel: String?

  @Option(
    help: ArgumentHelp(
      "Splits and their shares, used where nothing else says the splits. (default: "
        + "train=0.7,validation=0.15,test=0.15)",
      valueName: "name=share,…"))
  var split: String?

  @Option(
    help: ArgumentHelp("Decides the split of each source and the order.", valueName: "number"))
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("The most images in a shard.", valueName: "count"))
  var imagesPerShard = 2048

  @Option(
    help: ArgumentHelp(
      "Compress losslessly, 0 (least) to 9; without it images are stored as they are.",
      valueName: "level"))
  var gzip: Int?

  @Option(
    help: ArgumentHelp(
      "Files read at once by a rank. (default: its share of the processors)",
      valueName: "count"))
  var threads: Int?

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "Leave out files whose path below the input matches; may be given several times.",
      valueName: "pattern"))
  var skip: [String] = []

  @Option(
    help: ArgumentHelp(
      "Whether names make files one source and sources one group (auto), or every folder or file is a "
        + "source of its own (none)."))
  var group = Grouping.auto

  @Flag(help: "Stop at the first image that can't be decoded.")
  var strict = false

  @Flag(help: "Replace shards of the same splits that are there already.")
  var overwrite = false

  @OptionGroup var watchdog: WatchdogOptions

  enum Grouping: String, ExpressibleByArgument, CaseIterable {
    case auto, none
  }

  func validate() throws {
    guard (8...16384).contains(size) else {
      throw ValidationError("--size \(size): must be 8 to 16384")
    }
    guard (1...10_000).contains(frames) else {
      throw ValidationError("--frames \(frames): must be 1 to 10000")
    }
    guard imagesPerShard >= 1 else {
      throw ValidationError("--images-per-shard \(imagesPerShard): must be at least 1")
    }
    guard ThreadShare.range.contains(threads ?? 1) else {
      throw ValidationError("--threads \(threads ?? 0): must be \(ThreadShare.limits)")
    }
    guard (0...9).contains(gzip ?? 0) else {
      throw ValidationError("--gzip \(gzip ?? 0): must be 0 to 9")
    }
  }

  func run(_ communicator: Communicator) throws {
    RankStatus.enter(.packing)
    var settings = PackSettings(input: input, output: output)
    settings.size = size
    settings.layout = layout
    settings.officialSplits = officialSplits
    settings.masks = masks
    settings.list = list
    settings.mapping = mapping
    settings.compression = compression
    settings.faces = faces
    settings.framesPerVideo = frames
    settings.crop = FaceCropSettings(
      size: size, margin: margin, alignment: align, detectsInGrey: detectGrey)
    settings.landmarkModel = landmarkModel
    settings.split = try split.map { try SplitShares(parsing: $0) }
    settings.seed = seed
    settings.imagesPerShard = imagesPerShard
    settings.gzip = gzip
    settings.isStrict = strict
    settings.overwrites = overwrite
    settings.skips = skip
    settings.groups = group == .auto
    settings.threads = try ThreadShare.threads(threads, communicator)

    let label =
      communicator.size > 1 ? "packing on 1 of \(communicator.size) ranks, file" : "packing file"
    var progress: ProgressLine?
    func show(done: Int, total: Int) {
      if progress == nil, communicator.isRoot {
        progress = ProgressLine(label, total: total, items: ("files", 1))
      }
      progress?.update(done)
      RankStatus.progress()
    }
    StopSignal.watch()
    let report: PackReport
    do {
      report = try Packer.pack(
        settings, ranks: communicator,
        isCancelled: { StopSignal.isReceived }, found: RankStatus.progress,
        announce: { say($0) }, progress: show)
    } catch {
      progress?.interrupt()
      if ExitStatus(ending: error) == .stopped { StopSignal.obey() }
      throw error
    }
    progress?.finish()
    for line in report.remarks { say("rfm: \(line)") }
    if communicator.isRoot { printLines(report.table) }
  }
}

extension LayoutKind: ExpressibleByArgument {}
extension FaceHandling: ExpressibleByArgument {}
extension FaceCropSettings.Alignment: ExpressibleByArgument {}

/// SIGINT and SIGTERM, noted instead of obeyed at once, so that there is time to tidy up.
private enum StopSignal {
  private static let first = Atomic<Int32>(0)

  static func watch() {
    let handler: @convention(c) (Int32) -> Void = { number in
      StopSignal.first.store(number, ordering: .relaxed)
    }
    signal(SIGINT, handler)
    signal(SIGTERM, handler)
  }

  static var isReceived: Bool { first.load(ordering: .relaxed) != 0 }

  /// Ends the process the way the signal would have, which is what a shell expects to see.
  static func obey() {
    let number = first.load(ordering: .relaxed)
    guard number != 0 else { return }
    signal(number, SIG_DFL)
    kill(getpid(), number)
  }
}
