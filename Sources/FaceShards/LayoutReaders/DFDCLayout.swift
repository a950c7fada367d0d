import Foundations

/// The Deepfake Detection Challenge (Dolhansky et al. 2020), as it came from Kaggle and from the
/// authors, and its preview:
///
/// ```
/// dfdc_train_part_0/metadata.json     {"aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"}}
/// dfdc_train_part_0/aaa.mp4
/// test/labels.csv                     filename,label (1 is fake)
/// dataset.json                        of the preview: {"method_A/…/c.mp4": {"label": "fake", "set": "train", …}}
/// ```
///
/// A file belongs to the table that lies nearest above it. There may be folders of frames instead of
/// videos, `frames/aaa/0001.png`. A fake is tied to its original.
enum DFDCLayout: LayoutReader {
  private static let tables: Set<String> = ["metadata.json", "labels.csv", "dataset.json"]

  static func evidence(in input: LayoutInput) throws -> BytePath? {
    let part = input.files.first { path in
      path.components.dropLast().contains { $0.starts(with: "dfdc_train_part_".utf8) }
    }
    if let part { return part }
    guard let root = input.root else { return nil }
    return input.files.first { path in
      guard isTable(path), !path.components.contains(where: { FolderRole($0)?.isFake != nil })
      else {
        return false
      }
      // A table of that name may be anybody's.
      guard
        let bytes = try? LayoutText.read(root.appending(path.bytes), limit: DFDCTable.maximumBytes),
        let table = try? DFDCTable(bytes, path)
      else { return false }
      return table.isOfVideos
    }
  }

  private static func isTable(_ path: BytePath) -> Bool {
    tables.contains(LayoutFiles.lower(path.components.last ?? []))
  }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    var reading = LayoutReading(kind: .dfdc)
    let documents = try input.documents(isTable)
    guard !documents.isEmpty else {
      throw input.refusal(
        "no metadata.json, labels.csv or dataset.json, which say what is fake in DFDC; each part's"
          + " archive has one")
    }
    var known: [[UInt8]: DFDCTable] = [:]
    for document in documents {
      let table = try DFDCTable(document.read(limit: DFDCTable.maximumBytes), document.path)
      // Those from elsewhere are of all files.
      let folder = document.relative.map {
        Array($0.components.dropLast().joined(separator: [47]))
      }
      if let other = known[folder ?? []] {
        known[folder ?? []] = try other.merged(with: table)
      } else {
        known[folder ?? []] = table
      }
    }
    var (beside, unlisted, others): ([BytePath], [BytePath], [BytePath]) = ([], [], [])
    var forms = VideoForms()
    var seen: [[UInt8]: Set<String>] = [:]
    for path in input.files {
      let parts = path.components
      if LayoutFiles.isBeside(path) {
        beside.append(path)
        continue
      }
      guard let kind = input.mediaKind(path) else {
        if !isTable(path) { others.append(path) }
        continue
      }
      let video = VideoForms.video(of: parts[...], kind)
      let name = LayoutFiles.text(video.name)
      guard let (folder, row) = row(of: name, parts, known) else {
        unlisted.append(path)
        continue
      }
      try forms.add(
        "\(LayoutFiles.text(folder))/\(name)", form: video.form, path, input)
      seen[folder, default: []].insert(name)
      reading.entries.append(
        LayoutEntry(
          path: path, kind: kind, method: row.isFake ? row.method : nil, source: name,
          split: row.split ?? splitOfFolders(parts)))
      reading.shows[name] = row.shows
    }
    try require(reading, unlisted, documents, input)
    settleSplits(&reading)
    for (folder, table) in known.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      let missing = table.rows.keys.filter { seen[folder]?.contains($0) != true }
      if let first = missing.min() {
        reading.notes.append(
          "\(missing.count) of the \(table.rows.count) videos that \(table.path) names are not there,"
            + " such as \(printable(first))")
      }
    }
    LayoutNotes.add(beside: beside, others: others, to: &reading)
    return reading
  }

  /// Of the nearest table above the file that names it.
  private static func row(of name: String, _ parts: [[UInt8]], _ known: [[UInt8]: DFDCTable]) -> (
    folder: [UInt8], row: DFDCTable.Row
  )? {
    for depth in stride(from: parts.count - 1, through: 0, by: -1) {
      let folder = Array(parts[..<depth].joined(separator: [47]))
      if let row = known[folder]?.rows[name] { return (folder, row) }
    }
    return nil
  }

  /// `test/…` and `validation/…`.
  private static func splitOfFolders(_ parts: [[UInt8]]) -> String? {
    for part in parts.dropLast() {
      if let role = FolderRole(part), role.isFake == nil, let split = role.split { return split }
    }
    return nil
  }

  private static func require(
    _ reading: LayoutReading, _ unlisted: [BytePath], _ documents: [LayoutInput.Document],
    _ input: LayoutInput
  ) throws {
    guard let first = unlisted.first else { return }
    throw input.refusal(
      "\(unlisted.count) images or videos, such as \(first), are in none of \(documents.count) tables,"
        + " such as \(documents[0].path), so that nothing says whether they are fake; leave them out"
        + " with --skip, or add their metadata.json")
  }

  /// The training parts call all of themselves "train", which says nothing unless there is more.
  private static func settleSplits(_ reading: inout LayoutReading) {
    let splits = Set(reading.entries.compactMap(\.split))
    guard splits != ["train"], !splits.isEmpty else {
      for index in reading.entries.indices { reading.entries[index].split = nil }
      return
    }
    reading.isOfficial = true
    reading.splitsBy = "the data set's own folders and tables"
    // What is for training may be dealt out further.
    for index in reading.entries.indices where reading.entries[index].split == "train" {
      reading.entries[index].split = nil
    }
  }
}
