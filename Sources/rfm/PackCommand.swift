import ArgumentParser
import FaceShards
import Foundation
import Foundations
import MessagePassing
import Synchronization

struct PackCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Pack folders of face images into shards.",
    discussion: """
      The input folder is laid out as

        [SPLIT/]real/[SOURCE/…/]IMAGE
        [SPLIT/]fake/METHOD/[SOURCE/…/]IMAGE

      SPLIT is train, validation or test; without such folders the images are split by source, so \
      that no video or person is in two splits. SOURCE is the folder below real or METHOD, else the \
      image's name without its extension. Files called VIDEO_0001.png, VIDEO-f0002.png are frames of \
      one source, and a fake called 000_003 is kept together with the sources 000 and 003.

      Common names of the same meaning are read too (Train, valid, dev, 0_real, training_fake, \
      original, manipulated, METHOD/1_fake, fake/METHOD/train, …), and it is said. Links to files and \
      folders are followed. Images that have no place in this are an error, unless --skip leaves them \
      out.

      Images are JPEG, PNG, WebP, TIFF, BMP, GIF (the first frame), AVIF, HEIF (HEIC) or PNM, told \
      by their content. They are turned upright, cut to the largest square around their centre, and \
      resized as Pillow's bilinear filter does. What can't be decoded is named, counted and passed \
      over.

      EXAMPLE
        rfm pack --input faces --output shards --size 256
        mpirun -np 4 rfm pack --input faces --output shards --split train=0.8,validation=0.1,test=0.1
      """)

  @Option(help: ArgumentHelp("Folder of images.", valueName: "dir"), transform: pathToRead)
  var input: String

  @Option(
    help: ArgumentHelp("Folder for the shards, SPLIT-NNNNN.h5.", valueName: "dir"),
    transform: pathToWrite)
  var output: String

  @Option(help: ArgumentHelp("Height and width of the packed images.", valueName: "pixels"))
  var size = 256

  @Option(help: ArgumentHelp("How the input is laid out; folders is the only way so far."))
  var layout = Layout.folders

  @Option(
    help: ArgumentHelp(
      "Splits and their shares, used where no folders name the splits. (default: "
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
      "Images decoded at once by a rank. (default: its share of the processors)",
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

  enum Layout: String, ExpressibleByArgument, CaseIterable {
    case folders
  }

  func validate() throws {
    guard (8...16384).contains(size) else {
      throw ValidationError("--size \(size): must be 8 to 16384")
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
      communicator.size > 1 ? "packing on 1 of \(communicator.size) ranks, image" : "packing image"
    var progress: ProgressLine?
    func show(done: Int, total: Int) {
      if progress == nil, communicator.isRoot {
        progress = ProgressLine(label, total: total, items: ("images", 1))
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
        announce: { say("rfm: \($0)") }, progress: show)
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
