import Foundations

/// One file that `pack` is to read.
struct PackCandidate: Equatable {
  enum Kind: UInt8, Sendable {
    case image, video
  }

  /// Relative to the input folder.
  var path: BytePath
  /// By its name; what it holds is found out when it is read.
  var kind = Kind.image
  /// 0 for real images, else the method's place in ``PackLayout/methods``.
  var method: Int
  /// The source's place in ``PackLayout/sources``.
  var source: Int
  /// train, validation or test, if the layout says it.
  var split: String?
  /// The whole path of the file that marks what is forged: an image's an image, a video's a video.
  var mask: BytePath?

  var isFake: Bool { method > 0 }
}
