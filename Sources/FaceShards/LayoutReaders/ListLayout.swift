import Foundation
import Foundations

/// A list of files with their labels (``ListTable``). Paths are relative to the input folder; a row may
/// also name a folder, which stands for all images and videos in it, of one source.
enum ListLayout: LayoutReader {
  private static let endings = ["csv", "tsv", "txt"]

  /// A list at the top of the input, with a header.
  static func evidence(in input: LayoutInput) -> BytePath? {
    guard let root = input.root else { return nil }
    // Folders that say the classes say it of every file.
    guard
      !input.files.contains(where: { path in
        path.components.dropLast().contains { FolderRole($0)?.isFake != nil }
      })
    else { return nil }
    let found = top(input).filter { path in
      guard
        let bytes = try? LayoutText.read(
          root.appending(path.bytes), limit: ListTable.maximumBytes),
        let table = try? ListTable(bytes, path)
      else { return false }
      // That most of it is there shows that it is this folder's.
      let files = Files(input)
      return table.rows.prefix(100).contains { files.named($0.path) != nil }
    }
    return found.count == 1 ? found[0] : nil
  }

  private static func top(_ input: LayoutInput) -> [BytePath] {
    input.files.filter { path in
      path.components.count == 1
        && endings.contains { LayoutInput.hasEnding($0)(path) }
    }
  }

  /// The files of the input, looked up by what a list calls them.
  private struct Files {
    let files: [BytePath]
    /// Of the input folder, where paths in the list are whole ones.
    let realRoot: [UInt8]?

    init(_ input: LayoutInput) {
      files = input.files
      realRoot = input.realRoot?.bytes
    }

    enum Outcome {
      case file(BytePath)
      case folder(Range<Int>)
    }

    /// Without what leads nowhere: "./a//b" is "a/b"; nil if it leads out of the folder.
    func relative(_ path: [UInt8]) -> BytePath? {
      var bytes = path
      if bytes.first == 47 {
        guard let realRoot, bytes.starts(with: realRoot + [47]) else { return nil }
        bytes.removeFirst(realRoot.count + 1)
      }
      var parts: [[UInt8]] = []
      for part in BytePath(bytes: bytes).components where part != [46] {
        if part == [46, 46] {
          if parts.isEmpty { return nil }
          parts.removeLast()
        } else {
          parts.append(part)
        }
      }
      return parts.isEmpty ? nil : LayoutFiles.joined(parts)
    }

    func named(_ path: [UInt8]) -> Outcome? {
      if let relative = relative(path), let found = find(relative) { return found }
      // Of Windows.
      guard path.contains(92) else { return nil }
      return relative(path.map { $0 == 92 ? 47 : $0 }).flatMap(find)
    }

    private func find(_ path: BytePath) -> Outcome? {
      let place = lower(path)
      if place < files.count, files[place] == path { return .file(path) }
      let prefix = path.bytes + [47]
      let start = lower(BytePath(bytes: prefix))
      var end = start
      while end < files.count, files[end].bytes.starts(with: prefix) { end += 1 }
      return end > start ? .folder(start..<end) : nil
    }

    /// The first place of a path that is not before it.
    private func lower(_ path: BytePath) -> Int {
      var (low, high) = (0, files.count)
      while low < high {
        let middle = (low + high) / 2
        if files[middle] < path { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    let path = try list(input)
    let table = try ListTable(LayoutText.read(path, limit: ListTable.maximumBytes), path)
    return try read(table, path, input)
  }

  private static func list(_ input: LayoutInput) throws -> BytePath {
    if let list = input.list { return BytePath(list) }
    let found = top(input)
    guard found.count == 1, let root = input.root else {
      throw PackError.usage(
        "--layout list: give the list with --list FILE; \(input.folder) has "
          + (found.isEmpty
            ? "none at its top"
            : "several files that might be it, such as \(found[0]) and \(found.last!)"))
    }
    return root.appending(found[0].bytes)
  }

  static func read(_ table: ListTable, _ path: BytePath, _ input: LayoutInput) throws
    -> LayoutReading
  {
    var reading = LayoutReading(kind: .list)
    reading.notes = table.notes
    let files = Files(input)
    var rowOf: [BytePath: ListTable.Row] = [:]
    var missing: [ListTable.Row] = []
    var repeated = 0
    var crossing: [BytePath] = []
    func add(_ file: BytePath, _ row: ListTable.Row) throws {
      guard let first = rowOf[file] else {
        rowOf[file] = row
        return
      }
      guard first.isFake == row.isFake, first.method == row.method, first.source == row.source
      else {
        throw PackError.badData(
          "\(path): line \(row.line): \(file) is in line \(first.line) too, with another label, method"
            + " or source")
      }
      repeated += 1
      guard first.split != row.split else { return }
      crossing.append(file)
      rowOf[file] = FolderRole.leastTrained([first, row]) { $0.split }
    }
    for row in table.rows {
      if files.relative(row.path) == nil, files.named(row.path) == nil {
        throw PackError.badData(
          "\(path): line \(row.line): \(BytePath(bytes: row.path)) leads out of \(input.folder); paths"
            + " are relative to --input")
      }
      switch files.named(row.path) {
      case nil: missing.append(row)
      case .file(let file): try add(file, row)
      case .folder(let range):
        for file in input.files[range] where input.mediaKind(file) != nil {
          var row = row
          row.source = row.source ?? LayoutFiles.text(file.components.dropLast().last ?? [])
          try add(file, row)
        }
      }
    }
    guard missing.count < table.rows.count else {
      throw PackError.badData(
        "\(path): none of its files is below \(input.folder), such as \(BytePath(bytes: missing[0].path))"
          + " in line \(missing[0].line); paths are relative to --input; there are"
          + " \(input.files.isEmpty ? "no files" : LayoutFiles.describe(input.files))")
    }
    if let first = missing.first {
      reading.notes.append(
        "\(path): \(missing.count) of \(table.rows.count) rows name files that are not there, such as"
          + " \(BytePath(bytes: first.path)) in line \(first.line)")
    }
    if repeated > 0 {
      reading.notes.append("\(path): \(repeated) rows name a file again")
    }
    if let first = crossing.first {
      reading.notes.append(
        "\(path): \(crossing.count) files are listed in several splits, such as \(first): they are only"
          + " in that which is furthest from training")
    }
    nameSources(rowOf, &reading, groups: input.groups)
    let others = input.files.filter { file in
      rowOf[file] == nil && input.mediaKind(file) != nil
    }
    if !others.isEmpty {
      reading.notes.append(
        "\(LayoutFiles.sample(others)): images and videos that \(path) does not name; not taken")
    }
    if table.rows[0].split != nil { reading.splitsBy = "\(path)" }
    return reading
  }

  /// Sources as the list names them, else by names of files: the folder of numbered frames, the video
  /// that frames are called by, the file.
  private static func nameSources(
    _ rowOf: [BytePath: ListTable.Row], _ reading: inout LayoutReading, groups: Bool
  ) {
    let sorted = rowOf.sorted { $0.key < $1.key }
    let numberedFolders = Set(
      sorted.lazy.filter { $0.value.source == nil && LayoutFiles.kind(of: $0.key.bytes) == .image }
        .compactMap { numbered($0.key.components) })
    // One folder may hold whatever was numbered.
    let groupsFolders = groups && numberedFolders.count > 1
    var flat: [FrameNames.File] = []
    if groups {
      for (path, row) in sorted where row.source == nil {
        let parts = path.components
        guard LayoutFiles.kind(of: parts.last!) == .image,
          !groupsFolders || numbered(parts) == nil
        else { continue }
        let folder = Array(path.bytes.dropLast(parts.last!.count))
        flat.append((folder, LayoutFiles.stem(parts.last!), path))
      }
    }
    let frames = FrameNames(files: flat, sources: [])
    var folders = 0
    for (path, row) in sorted {
      let parts = path.components
      let kind = LayoutFiles.kind(of: parts.last!)
      let stem = LayoutFiles.stem(parts.last!)
      var entry = LayoutEntry(
        path: path, kind: kind, method: row.isFake ? row.method ?? "fake" : nil,
        source: LayoutFiles.text(stem), split: row.split)
      if let source = row.source {
        entry.source = source
      } else if groupsFolders, kind == .image, let folder = numbered(parts) {
        entry.source = LayoutFiles.text(folder)
        folders += 1
      } else if kind == .image, let video = frames.video(showing: stem) {
        entry.source = LayoutFiles.text(video)
      } else {
        entry.isNamed = kind == .video
      }
      reading.entries.append(entry)
    }
    reading.guessesTies = true
    if folders > 0 {
      reading.isGrouped = true
      reading.notes.append(
        "\(folders) numbered images are taken as frames of the video that their folder is called by"
          + " (--group none takes every file as its own)")
    }
    if let note = frames.note {
      reading.isGrouped = true
      reading.notes.append(note)
    }
  }

  /// The folder of a file that is called by a number, if the folder's name can be a video's.
  private static func numbered(_ parts: [[UInt8]]) -> [UInt8]? {
    guard parts.count > 1, let folder = parts.dropLast().last, FolderRole(folder) == nil,
      !FolderRole.isPadding(folder)
    else { return nil }
    let stem = LayoutFiles.stem(parts.last!)
    let word = stem.prefix { !(48...57).contains($0) }
    let digits = stem.dropFirst(word.count)
    guard !digits.isEmpty, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
    let name = String(decoding: word, as: UTF8.self).lowercased().filter { !"_-.".contains($0) }
    return name.isEmpty || name == "frame" || ["f", "fr"].contains(name) && digits.count > 2
      ? folder : nil
  }
}
