import Foundations

/// The shard format: an HDF5 file (`*.h5`) of face images of one size with their labels.
///
/// Root attributes: `format` = "rfm-shard", `version` = 1. Root datasets:
///
/// | name | type | shape | meaning |
/// | --- | --- | --- | --- |
/// | `images` | uint8 | [N, H, W, 3] | RGB |
/// | `labels` | uint8 | [N] | 0 real, 1 fake |
/// | `methods` | uint8 | [N] | index into `method_names`; 0 is real |
/// | `method_names` | string | [M] | entry 0 is "real" |
/// | `sources` | string | [N] | optional: the video or identity that an image comes from |
/// | `paths` | string | [N] | optional: the file that an image comes from |
/// | `masks` | uint8 | [N, H, W] | optional: 255 where forged |
/// | `frames` | int32 | [N] | optional: the frame of its video that an image is; -1 for none |
/// | `boxes` | float32 | [N, 4] | optional: the detected face in the source image (``FaceOrigin``) |
/// | `landmarks` | float32 | [N, 68, 2] | optional: points of the face in the stored image |
///
/// The optional root attribute `preprocessing` says in JSON how the faces were found and cut out.
///
/// ``ShardWriter`` stores one image a chunk with a checksum. ``Shard`` reads any layout: chunked or
/// not, with or without checksums and compression, strings of fixed or variable length; labels and
/// methods as any whole numbers or names (``ShardColumn``), masks of booleans or of 0 and 1
/// (``MaskScale``).
public enum ShardFormat {
  /// The value of the root attribute `format`.
  public static let name = "rfm-shard"
  /// The value of the root attribute `version`.
  public static let version = 1
  /// The root attribute that says how faces were found and cut out.
  public static let preprocessing = "preprocessing"
  /// The name of method 0, which isn't a manipulation.
  public static let real = "real"
  /// The method of fakes that are made of one real face (`SelfBlending`).
  public static let selfBlended = "self-blended"
  /// Methods are numbered in a byte.
  public static let methodLimit = 256
  /// The longest side of an image.
  public static let sideLimit = 1 << 14
}

/// What is wrong with a shard or a set of them, in one line that names the file.
public struct ShardError: ReportableError, Sendable, Equatable {
  /// The file, or the pattern of files.
  public let file: String
  public let reason: String
  /// Whether the operating system refused, in contrast to contents that are not as they should be.
  public let isInputOutput: Bool

  public init(file: String, reason: String, isInputOutput: Bool = false) {
    self.file = file
    self.reason = reason
    self.isInputOutput = isInputOutput
  }

  public var description: String { "\(file): \(reason)" }
  public var exitStatus: ExitStatus { isInputOutput ? .inputOutput : .badData }
}
