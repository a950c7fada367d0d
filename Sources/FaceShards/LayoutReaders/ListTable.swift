import Foundations

/// The rows of a list of files: `path label [method] [source] [split]`, with or without a header.
struct ListTable {
  struct Row: Equatable {
    var line: Int
    var path: [UInt8]
    var isFake: Bool
    var method: String?
    var source: String?
    var split: String?
  }

  enum Column: CaseIterable {
    case path, label, method, source, split

    var names: Set<String> {
      switch self {
      case .path:
        [
          "path", "paths", "file", "files", "filename", "file_name", "filepath", "file_path",
          "image",
          "image_path", "img", "img_path", "video", "video_path", "name",
        ]
      case .label: ["label", "labels", "class", "target", "is_fake", "fake"]
      case .method: ["method", "manipulation", "type", "attack", "forgery", "generator"]
      case .source:
        ["source", "sources", "video_id", "identity", "id", "person", "subject", "group"]
      case .split: ["split", "set", "subset", "partition", "phase", "fold"]
      }
    }
  }

  /// 256 MB are some three million rows.
  static let maximumBytes = 1 << 28

  private(set) var rows: [Row] = []
  /// One line each.
  private(set) var notes: [String] = []

  /// Throws ``PackError`` that names the line.
  init(_ bytes: [UInt8], _ path: BytePath) throws {
    var table = try DelimitedText(bytes, path).rows
    var columns: [Column: Int] = [:]
    if let first = table.first, let named = try Self.header(first, path) {
      columns = named.columns
      if !named.unused.isEmpty {
        notes.append("\(path): columns \(named.unused.joined(separator: ", ")) are not used")
      }
      table.removeFirst()
    } else {
      for (index, column) in Column.allCases.enumerated() { columns[column] = index }
    }
    var numbers: Int?
    for row in table {
      func refuse(_ text: String) -> PackError { .badData("\(path): line \(row.line): \(text)") }
      func field(_ column: Column) -> [UInt8]? {
        guard let index = columns[column], index < row.fields.count, !row.fields[index].isEmpty
        else { return nil }
        return row.fields[index]
      }
      guard let file = field(.path), let label = field(.label) else {
        throw refuse("has no path or no label: expected path label [method] [source] [split]")
      }
      guard file.count <= 4096 else { throw refuse("the path has \(file.count) bytes") }
      guard let isFake = Self.isFake(label) else {
        throw refuse(
          "the label \(printable(LayoutFiles.text(label), limit: 40)) is none of real, fake, 0 (real)"
            + " and 1 (fake)")
      }
      if label == [48] || label == [49] { numbers = numbers ?? row.line }
      var read = Row(line: row.line, path: file, isFake: isFake)
      read.method = isFake ? try Self.name(field(.method), refuse) : nil
      read.source = try Self.name(field(.source), refuse)
      if let word = field(.split) {
        guard let role = FolderRole(word), role.isFake == nil, let split = role.split else {
          throw refuse(
            "the split \(printable(LayoutFiles.text(word), limit: 40)) is none of train, validation"
              + " and test")
        }
        read.split = split
      }
      rows.append(read)
    }
    guard let first = rows.first else { throw PackError.badData("\(path): names no files") }
    if let other = rows.first(where: { ($0.split == nil) != (first.split == nil) }) {
      throw PackError.badData(
        "\(path): line \(other.line) \(other.split == nil ? "names no split" : "names a split"),"
          + " line \(first.line) \(first.split == nil ? "none" : "does"): say it in all or none")
    }
    let fakes = rows.filter(\.isFake)
    if let first = fakes.first,
      let other = fakes.first(where: { ($0.method == nil) != (first.method == nil) })
    {
      throw PackError.badData(
        "\(path): line \(other.line) \(other.method == nil ? "names no method" : "names a method"),"
          + " line \(first.line) \(first.method == nil ? "none" : "does"): say it of all fakes or none"
      )
    }
    if let numbers {
      notes.append(
        "\(path): label 0 is read as real and 1 as fake, as in line \(numbers); write the words if it"
          + " is meant the other way round")
    }
  }

  private static func name(_ field: [UInt8]?, _ refuse: (String) -> PackError) throws -> String? {
    guard let field else { return nil }
    guard field.count <= 255 else { throw refuse("a name has \(field.count) bytes") }
    return LayoutFiles.text(field)
  }

  private static func isFake(_ label: [UInt8]) -> Bool? {
    switch label {
    case [48]: false
    case [49]: true
    default:
      if let role = FolderRole(label), role.split == nil, !role.isNumbered {
        role.isFake
      } else {
        nil
      }
    }
  }

  /// Which column is which; nil if the row is none of names.
  private static func header(_ row: DelimitedText.Row, _ path: BytePath) throws -> (
    columns: [Column: Int], unused: [String]
  )? {
    let names = row.fields.map { $0.count <= 64 ? LayoutFiles.lower($0) : "" }
    guard names.contains(where: { Column.path.names.contains($0) }) else { return nil }
    var columns: [Column: Int] = [:]
    var unused: [String] = []
    for (index, name) in names.enumerated() {
      guard let column = Column.allCases.first(where: { $0.names.contains(name) }) else {
        unused.append(printable(LayoutFiles.text(row.fields[index]), limit: 40))
        continue
      }
      guard columns.updateValue(index, forKey: column) == nil else {
        throw PackError.badData(
          "\(path): line \(row.line): two columns could be the \(column), \(printable(name)) and another;"
            + " remove one")
      }
    }
    guard columns[.label] != nil else {
      throw PackError.badData(
        "\(path): line \(row.line): no column is called label; there are"
          + " \(names.prefix(8).map { printable($0) }.joined(separator: ", "))")
    }
    return (columns, unused)
  }
}
