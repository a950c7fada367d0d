import Faces
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
  /// Whether faces are looked for; nil: in videos, not in images.
  public var faces: FaceHandling?
  /// How they are found and cut out; their size is ``size``.
  public var crop = FaceCropSettings()
  /// File of the landmark model; nil for the system's where alignment needs one, else none.
  public var landmarkModel: String?
  /// The most frames that a video gives, evenly spaced.
  public var framesPerVideo = 32

  public init(input: String, output: String) {
    self.input = input
    self.output = output
  }
}

/// What `pack` does with a picture.
public enum FaceHandling: String, Sendable, CaseIterable {
  /// Takes it as it is: the largest square around its centre.
  case keep
  /// Finds the face in it and cuts that out.
  case detect
}
