import Foundations

/// What a layout says of one file.
struct LayoutEntry: Equatable {
  /// Relative to the input folder.
  var path: BytePath
  var kind = PackCandidate.Kind.image
  /// The manipulation; nil for a real image or video.
  var method: String?
  /// The video or person that it is of; the same name means the same source, in both classes.
  var source: String
  /// Whether the source is more than the file's own name, which may be a mere number.
  var isNamed = true
  /// train, validation or test, if something says it.
  var split: String?
}
