import Foundations

/// A table of DFDC: `metadata.json` of a part, `labels.csv` of a test set, or `dataset.json` of the
/// preview.
struct DFDCTable {
  struct Row: Equatable {
    var isFake: Bool
    var method = "dfdc"
    var split: String?
    /// The video and the people that are seen in it.
    var shows: [String]
  }

  /// The largest part has 3,500 videos; this is a hundred times as much.
  static let maximumBytes = 1 << 26

  let path: BytePath
  /// By the video's name without its ending.
  private(set) var rows: [String: Row] = [:]
  /// Whether the first file that it names is a video, as all of DFDC are.
  private(set) var isOfVideos = false

  /// Throws ``PackError`` if it is no such table, or contradicts itself.
  init(_ bytes: [UInt8], _ path: BytePath) throws {
    self.path = path
    if LayoutInput.hasEnding("csv")(path) {
      try readLabels(bytes)
    } else {
      try readMetadata(bytes)
    }
    guard !rows.isEmpty else { throw PackError.badData("\(path): names no videos") }
  }

  func merged(with other: DFDCTable) throws -> DFDCTable {
    var all = self
    for (name, row) in other.rows {
      if let first = all.rows.updateValue(row, forKey: name), first.isFake != row.isFake {
        throw PackError.badData(
          "\(other.path): \(printable(name)) is \(row.isFake ? "fake" : "real"), but not in \(path)"
        )
      }
    }
    return all
  }

  /// - Parameter file: as the table has it.
  private mutating func add(_ file: String, _ row: Row) throws {
    let name = Self.stem(file)
    if rows.isEmpty { isOfVideos = FolderEntryKind(name: Array(file.utf8)) == .video }
    guard rows.updateValue(row, forKey: name) == nil else {
      throw PackError.badData("\(path): names \(printable(name)) twice")
    }
  }

  /// A file's name without folders and ending.
  private static func stem(_ name: String) -> String {
    LayoutFiles.text(
      LayoutFiles.stem(BytePath(name.replacing("\\", with: "/")).components.last ?? []))
  }

  private mutating func readMetadata(_ bytes: [UInt8]) throws {
    guard let members = try LayoutText.json(bytes, path).members else {
      throw PackError.badData(
        "\(path): is no object: expected {\"aaa.mp4\": {\"label\": \"FAKE\", \"original\": \"bbb.mp4\"}}"
      )
    }
    for member in members {
      func refuse(_ text: String) -> PackError {
        .badData("\(path): \(printable(member.name)): \(text)")
      }
      let value = member.value
      guard value.members != nil, let isFake = try Self.isFake(value, refuse) else {
        throw refuse("has no label \"REAL\" or \"FAKE\" and no is_fake 0 or 1")
      }
      let name = Self.stem(member.name)
      var row = Row(isFake: isFake, shows: ["DFDC video \(name)"])
      if let original = value["original"]?.textValue, !original.isEmpty {
        row.shows.append("DFDC video \(Self.stem(original))")
      }
      for key in ["target_id", "swapped_id"] {
        if let person = value[key]?.textValue ?? value[key]?.integerValue.map(String.init) {
          row.shows.append("DFDC person \(person)")
        }
      }
      // In the preview the first folder names the method.
      if isFake, let first = member.name.split(separator: "/").first,
        first.hasPrefix("method_"), first.utf8.count <= 64
      {
        row.method = BytePath.printable(Array(first.utf8))
      }
      if let word = (value["split"] ?? value["set"])?.textValue {
        guard let role = FolderRole(Array(word.utf8)), role.isFake == nil, let split = role.split
        else { throw refuse("the split \(printable(word)) is none of train, validation and test") }
        row.split = split
      }
      try add(member.name, row)
    }
  }

  private static func isFake(_ value: JSON, _ refuse: (String) -> PackError) throws -> Bool? {
    if let word = value["label"]?.textValue {
      switch word.lowercased() {
      case "real": return false
      case "fake": return true
      default: throw refuse("the label \(printable(word)) is neither REAL nor FAKE")
      }
    }
    switch value["is_fake"] ?? value["label"] {
    case .integer(0), .boolean(false), .number(0): return false
    case .integer(1), .boolean(true), .number(1): return true
    default: return nil
    }
  }

  private mutating func readLabels(_ bytes: [UInt8]) throws {
    let table = try DelimitedText(bytes, path)
    guard let header = table.rows.first?.fields.map(LayoutFiles.lower),
      let file = header.firstIndex(of: "filename"), let label = header.firstIndex(of: "label")
    else { throw PackError.badData("\(path): has no columns filename and label") }
    for row in table.rows.dropFirst() {
      guard row.fields.count > max(file, label) else {
        throw PackError.badData("\(path): line \(row.line): has too few columns")
      }
      let isFake: Bool
      switch LayoutFiles.lower(row.fields[label]) {
      case "0", "real": isFake = false
      case "1", "fake": isFake = true
      case let other:
        throw PackError.badData(
          "\(path): line \(row.line): the label \(printable(other)) is none of 0 (real) and 1 (fake)"
        )
      }
      let name = LayoutFiles.text(row.fields[file])
      try add(name, Row(isFake: isFake, shows: ["DFDC video \(Self.stem(name))"]))
    }
  }
}
