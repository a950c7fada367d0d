import Foundations

/// Names of files, for layouts and their messages.
enum LayoutFiles {
  /// What is there, by folders, with examples.
  static func describe(_ files: [BytePath]) -> String {
    var groups: [[[UInt8]]: (first: BytePath, count: Int)] = [:]
    for path in files {
      let key = Array(path.components.dropLast().prefix(2))
      groups[key, default: (path, 0)].count += 1
    }
    let sorted = groups.sorted { left, right in
      left.value.count != right.value.count
        ? left.value.count > right.value.count : left.value.first < right.value.first
    }
    let shown = sorted.prefix(4).map { key, group in
      group.count == 1 ? "\(group.first)" : "\(group.first) and \(group.count - 1) more beside it"
    }
    let rest = sorted.dropFirst(4).reduce(0) { $0 + $1.value.count }
    return shown.joined(separator: ", ") + (rest > 0 ? ", and \(rest) more elsewhere" : "")
  }

  /// The first, and how many others there are.
  static func sample(_ files: [BytePath]) -> String {
    files.count > 1 ? "\(files[0]) and \(files.count - 1) more" : "\(files[0])"
  }

  private static let sideWords: Set<String> = [
    "mask", "masks", "thumbnail", "thumbnails", "thumb", "thumbs", "preview", "previews",
    "landmark", "landmarks",
  ]

  /// Whether a folder's name says that the file goes with images but is none to be packed.
  static func isBeside(_ path: BytePath) -> Bool {
    path.components.dropLast().contains { isBeside(folder: $0) }
  }

  static func isBeside(folder: [UInt8]) -> Bool {
    folder.count <= 16 && sideWords.contains(lower(folder))
  }

  static func text(_ name: [UInt8]) -> String { BytePath.printable(name) }

  static func lower(_ name: [UInt8]) -> String {
    String(decoding: name, as: UTF8.self).lowercased()
  }

  static func joined(_ parts: some Collection<[UInt8]>) -> BytePath {
    BytePath(bytes: Array(parts.joined(separator: [47])))
  }

  /// A file's name without its last extension.
  static func stem(_ name: [UInt8]) -> [UInt8] {
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return name }
    return Array(name[..<dot])
  }

  /// A file is a video if its name says so; what has no ending that is known is taken for an image.
  static func kind(of name: [UInt8]) -> PackCandidate.Kind {
    FolderEntryKind(name: name) == .video ? .video : .image
  }
}
