import Foundations

/// What `pack` is asked to do.
public struct PackSettings: Sendable {
  /// Folder of images and videos.
  public var input: String
  /// How it is laid out.
  public var layout = LayoutKind.auto
  /// Folder with the split files of the data set's authors; nil to look for them in the input.
  public var officialSplits: String?
  /// Folder of masks, images or videos called as the fakes are.
  public var masks: String?
  /// Rules for a layout of the user's own, in YAML.
  public var mapping: String?
  /// A list of files and their labels.
  public var list: String?
  /// Which of FaceForensics++'s compressions to take, or "all".
  public var compression: String?
  /// Folder for the shards; made if it isn't there.
  public var output: String
  /// Height and width of the images in the shards.
  public var size = 256
  /// How to split by source where no folders do; nil for the usual shares.
  public var split: SplitShares?
  /// Decides which source goes into which split, and the order within.
  public var seed: UInt64 = 0
  /// A shard holds at most this many; the shards of a split are about equally large.
  public var imagesPerShard = 2048
  /// Level of compression, 0 … 9; nil for none.
  public var gzip: Int?
  /// Whether an image that can't be decoded stops everything, instead of being passed over.
  public var isStrict = false
  /// Patterns of files below the input that are left out, as the shell knows them; `*` takes slashes
  /// too.
  public var skips: [String] = []
  /// Whether names tell that several files are frames of one video, and that several sources show the
  /// same people; otherwise every folder or file is taken by its own name.
  public var groups = true
  /// Whether shards of the same splits that are already there are replaced.
  public var overwrites = false
  /// How many images this rank decodes at once.
  public var threads = ProcessorLimits.current.threads

  /// Frames that a video gives.
  public var framesPerVideo = 32

  public init(input: String, output: String) {
    self.input = input
    self.output = output
  }
}

extension PackSettings {
  /// How faces are found and cut out, as the shards say it; nil where they are packed as they are.
  var preprocessing: String? { nil }

  /// What every face has that is packed.
  func row(of plan: PackPlan) -> PackPart.Row {
    PackPart.Row(
      size: size, hasMasks: plan.items.contains { $0.mask != nil },
      hasOrigins: plan.items.contains(where: \.isVideo), hasLandmarks: false)
  }

  /// What decides how a planned file is stored, beside the plan.
  var identity: String {
    // The number changes when the same settings give other pixels.
    "1 \(size) \(gzip.map { "\($0)" } ?? "-") \(framesPerVideo) \(isStrict) \(preprocessing ?? "-")"
  }
}
