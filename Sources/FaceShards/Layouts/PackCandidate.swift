import Foundations

/// One image that `pack` is to read.
struct PackCandidate: Equatable {
  /// Relative to the input folder.
  var path: BytePath
  /// 0 for real images, else the method's place in ``PackLayout/methods``.
  var method: Int
  /// The source's place in ``PackLayout/sources``.
  var source: Int
  /// The split's place in ``PackLayout/splits``, if a folder says it.
  var split: Int?

  var isFake: Bool { method > 0 }
}
