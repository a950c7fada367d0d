import Foundations

/// What a layout says of all files.
struct LayoutReading {
  var kind: LayoutKind
  var entries: [LayoutEntry] = []
  /// Of a source the people and videos that are seen in it. Sources with one in common are tied, and
  /// are for one split.
  var shows: [String: [String]] = [:]
  /// Whether names of sources may tell more ties (``SourceGroups``).
  var guessesTies = false
  /// Whether names of files made several of them one source.
  var isGrouped = false
  /// What the splits are by: folders, or the file of the data set's authors.
  var splitsBy: String?
  /// Whether the splits are those of the data set's authors, which win over everything.
  var isOfficial = false
  /// One line each.
  var notes: [String] = []

  init(kind: LayoutKind) { self.kind = kind }
}
