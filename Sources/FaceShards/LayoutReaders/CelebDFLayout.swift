import Foundations

/// Celeb-DF, versions 1 and 2 (Li et al. 2020):
///
/// ```
/// Celeb-real/id0_0000.mp4
/// Celeb-synthesis/id0_id1_0000.mp4
/// YouTube-real/00000.mp4
/// List_of_testing_videos.txt
/// ```
///
/// Videos may lie one deeper, in `videos`, and there may be folders of frames, `VIDEO/0001.png` or
/// `frames/VIDEO/0001.png`. Names tell the people: `id0_id1_0000` ties persons 0 and 1. The official
/// list names the videos for testing; the others are for training.
enum CelebDFLayout: LayoutReader {
  private static let folders = [
    "celeb-real": false, "youtube-real": false, "celeb-synthesis": true,
  ]
  static let listName = "List_of_testing_videos.txt"
  /// The longest list has 518 lines.
  static let maximumBytes = 1 << 22

  static func evidence(in input: LayoutInput) -> BytePath? {
    input.files.first { path in
      let parts = path.components
      guard let index = marker(parts), LayoutFiles.lower(parts[index]) != "youtube-real" else {
        return false
      }
      return !parts[..<index].contains { FolderRole($0)?.isFake != nil }
    }
  }

  private static func marker(_ parts: [[UInt8]]) -> Int? {
    parts.dropLast().firstIndex { $0.count <= 16 && folders[LayoutFiles.lower($0)] != nil }
  }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    var reading = LayoutReading(kind: .celebDF)
    let list = try testList(input)
    var tested = Set<String>()
    var (beside, strays, others): ([BytePath], [BytePath], [BytePath]) = ([], [], [])
    var forms = VideoForms()
    for path in input.files {
      let parts = path.components
      guard let marker = marker(parts) else {
        if input.mediaKind(path) == nil { others.append(path) } else { strays.append(path) }
        continue
      }
      let rest = parts[(marker + 1)...]
      if rest.dropLast().contains(where: { LayoutFiles.isBeside(folder: $0) }) {
        beside.append(path)
        continue
      }
      guard let kind = input.mediaKind(path) else {
        others.append(path)
        continue
      }
      let folder = LayoutFiles.lower(parts[marker])
      let isFake = folders[folder]!
      let video = VideoForms.video(of: rest, kind)
      let name = LayoutFiles.text(video.name)
      try forms.add("\(folder)/\(name)", form: video.form, path, input)
      var entry = LayoutEntry(
        path: path, kind: kind, method: isFake ? "Celeb-synthesis" : nil, source: name)
      if list?.videos["\(folder)/\(name)"] != nil {
        entry.split = "test"
        tested.insert("\(folder)/\(name)")
      }
      reading.shows[name] =
        PeopleNames.celebDF(name) ?? (folder == "youtube-real" ? [] : ["Celeb-DF \(name)"])
      reading.entries.append(entry)
    }
    if let list {
      guard !tested.isEmpty else {
        throw input.refusal("\(list.path) names none of the videos that are there")
      }
      reading.isOfficial = true
      reading.splitsBy = "\(list.path)"
      reading.notes.append(
        "\(list.path) says which videos are for testing; the others are for training, or dealt out"
          + " by --split")
      let missing = list.videos.filter { !tested.contains($0.key) }
      if let first = missing.values.min(by: { $0.line < $1.line }) {
        reading.notes.append(
          "\(missing.count) of the \(list.videos.count) videos that \(list.path) names are not there,"
            + " such as \(first.path) in line \(first.line)")
      }
    }
    LayoutNotes.add(beside: beside, others: others, to: &reading)
    try LayoutNotes.refuse(
      strays: strays, input, expected: "Celeb-real/, Celeb-synthesis/ and YouTube-real/")
    return reading
  }

  /// The videos for testing, by folder and name, both as in ``folders``.
  struct TestList {
    var path: BytePath
    var videos: [String: (line: Int, path: String)] = [:]
  }

  private static func testList(_ input: LayoutInput) throws -> TestList? {
    let found = try input.documents {
      LayoutFiles.lower($0.components.last ?? []) == listName.lowercased()
    }
    guard let document = found.first else {
      guard let folder = input.officialSplits else { return nil }
      throw PackError.badData("\(folder): has no \(listName), which is Celeb-DF's official split")
    }
    guard found.count == 1 else {
      throw PackError.badData(
        "\(document.path) and \(found[1].path) are both there; say which is meant with"
          + " --official-splits, or take one data set at a time (--input)")
    }
    return try testList(document.read(limit: maximumBytes), document.path)
  }

  /// Lines such as `1 Celeb-real/id1_0001.mp4`, where 1 is *real*.
  static func testList(_ bytes: [UInt8], _ path: BytePath) throws -> TestList {
    var list = TestList(path: path)
    for (index, line) in LayoutText.lines(bytes).enumerated() {
      let words = line.split { $0 == 32 || $0 == 9 }
      if words.isEmpty { continue }
      func refuse(_ text: String) -> PackError {
        .badData(
          "\(path): line \(index + 1): \(text): expected LABEL FOLDER/VIDEO.mp4, where 1 is real, as"
            + " in 1 Celeb-real/id1_0001.mp4")
      }
      let parts = (words.last ?? []).split(separator: 47).map { Array($0) }
      guard words.count == 2, words[0].elementsEqual("0".utf8) || words[0].elementsEqual("1".utf8),
        parts.count >= 2, let isFake = folders[LayoutFiles.lower(parts[parts.count - 2])]
      else { throw refuse("has another form") }
      guard isFake == words[0].elementsEqual("0".utf8) else {
        throw refuse(
          "label \(isFake ? 1 : 0) says \(isFake ? "real" : "fake"), but the folder is"
            + " \(LayoutFiles.text(parts[parts.count - 2]))")
      }
      let video = LayoutFiles.text(LayoutFiles.stem(parts.last!))
      let key = "\(LayoutFiles.lower(parts[parts.count - 2]))/\(video)"
      if list.videos[key] == nil {
        list.videos[key] = (index + 1, LayoutFiles.text(Array(words[1])))
      }
    }
    guard !list.videos.isEmpty else { throw PackError.badData("\(path): names no videos") }
    return list
  }
}
