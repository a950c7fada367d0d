import Foundations

/// One layout: how it is recognised, and how it is read.
protocol LayoutReader {
  /// A file that shows that the input is laid out so; nil if none does.
  static func evidence(in input: LayoutInput) throws -> BytePath?

  /// What the layout says of every file.
  ///
  /// Throws ``PackError`` where it can be read in two ways, or files would be lost.
  static func read(_ input: LayoutInput) throws -> LayoutReading
}

extension LayoutKind {
  /// Nil for ``auto``.
  private var reader: (any LayoutReader.Type)? {
    switch self {
    case .auto: nil
    case .folders: FoldersLayout.self
    case .faceforensics: FaceForensicsLayout.self
    case .celebDF: CelebDFLayout.self
    case .dfdc: DFDCLayout.self
    case .dffd: DFFDLayout.self
    case .deepfakebench: DeepfakeBenchLayout.self
    case .list: ListLayout.self
    case .mapping: MappingLayout.self
    }
  }

  /// Those that are recognised by what they alone have, in the order in which they are tried.
  private static let known: [LayoutKind] = [
    .deepfakebench, .faceforensics, .celebDF, .dfdc, .dffd, .list,
  ]

  /// Reads the input in the layout that was asked for, else in the one that it shows.
  static func reading(of input: LayoutInput) throws -> LayoutReading {
    var asked = input.layout
    for (other, option, value) in [
      (LayoutKind.mapping, "--mapping", input.mapping), (.list, "--list", input.list),
    ] where value != nil {
      guard asked == .auto || asked == other else {
        throw PackError.usage("\(option) does not go with --layout \(asked.rawValue)")
      }
      asked = other
    }
    if let reader = asked.reader { return try checked(reader.read(input), input) }
    for kind in known {
      guard let reader = kind.reader, let example = try reader.evidence(in: input) else { continue }
      do {
        var reading = try reader.read(input)
        reading.notes.insert(
          "read as \(kind.name) (--layout \(kind.rawValue)), because of \(example)", at: 0)
        return try checked(reading, input)
      } catch PackError.badData(let text) {
        throw PackError.badData(
          "\(text) (read as \(kind.name) because of \(example); --layout names another layout)")
      }
    }
    return try checked(FoldersLayout.read(input), input)
  }

  /// Refuses options that would do nothing.
  private static func checked(_ reading: LayoutReading, _ input: LayoutInput) throws
    -> LayoutReading
  {
    if input.officialSplits != nil, !reading.isOfficial {
      throw PackError.usage(
        "--official-splits \(input.officialSplits!): the layout \(reading.kind.rawValue) knows no"
          + " such files; they are read of faceforensics, celeb-df, dfdc and deepfakebench")
    }
    if let compression = input.compression, reading.kind != .faceforensics {
      throw PackError.usage(
        "--compression \(compression): the layout \(reading.kind.rawValue) has no compressions; they"
          + " are chosen of faceforensics")
    }
    return reading
  }
}
