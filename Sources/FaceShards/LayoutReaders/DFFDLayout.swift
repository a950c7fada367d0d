import Foundations

/// The Diverse Fake Face Dataset (Dang et al. 2020): `METHOD/SPLIT/…`, where names of folders tell what
/// is real: `ffhq`, `celeba` (`celeba_2w` in the copy of RFM's authors) and `youtube`.
enum DFFDLayout: LayoutReader {
  /// Images that nobody manipulated: FFHQ, CelebA, and FaceForensics++'s videos of YouTube.
  private static let reals: Set<String> = [
    "ffhq", "celeba", "celeba_2w", "celeba_hq", "celebahq", "celeba-hq", "youtube",
    "original", "originals", "original_sequences",
  ]
  /// What the fakes' names begin with.
  private static let fakes = [
    "stylegan", "pggan", "progan", "stargan", "faceapp", "deepfakes", "faceswap", "face2face",
    "neuraltextures", "deepfacelab", "dfl", "zao",
  ]
  /// Made of the videos of FaceForensics++, whose names mean the same in all of them.
  private static let ofVideos: Set<String> = [
    "youtube", "original", "originals", "original_sequences", "deepfakes", "faceswap", "face2face",
    "neuraltextures",
  ]

  /// Nil if the folder is none of the data set's.
  private static func isFake(_ folder: [UInt8]) -> Bool? {
    guard folder.count <= 64 else { return nil }
    let name = LayoutFiles.lower(folder)
    if reals.contains(name) { return false }
    return fakes.contains { name.hasPrefix($0) } ? true : nil
  }

  /// Where METHOD and SPLIT stand in a path: at its beginning, or one deeper for `faceforensics/…`.
  private static func place(_ parts: [[UInt8]]) -> (method: Int, split: String)? {
    for method in 0..<min(2, max(0, parts.count - 2)) {
      if let role = FolderRole(parts[method + 1]), role.isFake == nil, let split = role.split,
        FolderRole(parts[method])?.split == nil
      {
        return (method, split)
      }
    }
    return nil
  }

  static func evidence(in input: LayoutInput) -> BytePath? {
    var tops: [Bool: BytePath] = [:]
    for path in input.files {
      let parts = path.components
      guard let place = place(parts) else {
        if FolderEntryKind(name: parts.last ?? []) == .other || LayoutFiles.isBeside(path) {
          continue
        }
        return nil
      }
      // real/train/… is read by folders.
      if FolderRole(parts[place.method])?.isExact == true { return nil }
      if let isFake = isFake(parts[place.method]) { tops[isFake] = tops[isFake] ?? path }
    }
    guard tops.count == 2 else { return nil }
    return tops[false]
  }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    var reading = LayoutReading(kind: .dffd)
    var (beside, strays, others): ([BytePath], [BytePath], [BytePath]) = ([], [], [])
    var unknown: [BytePath] = []
    var roots = Set<[UInt8]>()
    var flat: [FrameNames.File] = []
    var found: [(path: BytePath, kind: PackCandidate.Kind, place: (method: Int, split: String))] =
      []
    for path in input.files {
      if LayoutFiles.isBeside(path) {
        beside.append(path)
        continue
      }
      guard let kind = input.mediaKind(path) else {
        others.append(path)
        continue
      }
      let parts = path.components
      guard let place = place(parts) else {
        strays.append(path)
        continue
      }
      guard isFake(parts[place.method]) != nil else {
        unknown.append(path)
        continue
      }
      if place.method > 0 { roots.insert(parts[0]) }
      found.append((path, kind, place))
      if input.groups, kind == .image, parts.count == place.method + 3 {
        let folder = Array(path.bytes.dropLast(parts.last!.count))
        flat.append((folder, LayoutFiles.stem(parts.last!), path))
      }
    }
    if let first = unknown.first {
      throw input.refusal(
        "\(LayoutFiles.sample(unknown)): nothing says whether \(first.components[0].isEmpty ? "" : LayoutFiles.text(first.components[place(first.components)!.method]))/ is real or"
          + " fake; leave it out with --skip, or say it with --mapping")
    }
    let frames = FrameNames(files: flat, sources: [])
    for (path, kind, place) in found {
      let parts = path.components
      let method = parts[place.method]
      let rest = parts[(place.method + 2)...]
      var name = rest.count > 1 ? rest.first! : LayoutFiles.stem(rest.last!)
      var isNamed = rest.count > 1 || kind == .video
      if rest.count == 1, kind == .image, let video = frames.video(showing: name) {
        name = video
        isNamed = true
      }
      let lower = LayoutFiles.lower(method)
      // Numbers of one folder have nothing to do with another's, but where all are of the same videos.
      let scope = ofVideos.contains(lower) ? "" : LayoutFiles.text(method) + "/"
      reading.entries.append(
        LayoutEntry(
          path: path, kind: kind, method: isFake(method)! ? LayoutFiles.text(method) : nil,
          source: scope + LayoutFiles.text(name), isNamed: isNamed, split: place.split))
    }
    reading.splitsBy = "the folders"
    reading.guessesTies = true
    let real = Set(
      found.map { $0.path.components[$0.place.method] }.filter { isFake($0) == false }
        .map(LayoutFiles.text)
    ).sorted()
    reading.notes.append("real by their names: \(real.joined(separator: ", "))")
    if let note = frames.note {
      reading.isGrouped = true
      reading.notes.append(note)
    }
    LayoutNotes.add(beside: beside, others: others, to: &reading)
    try LayoutNotes.refuse(strays: strays, input, expected: "METHOD/SPLIT/ as DFFD has them")
    return reading
  }
}
