import Foundations

/// FaceForensics++ (Rössler et al. 2019) and DeepFakeDetection, as the authors' download script lays
/// them out:
///
/// ```
/// original_sequences/{youtube,actors}/{raw,c0,c23,c40}/videos/000.mp4
/// manipulated_sequences/METHOD/{raw,c0,c23,c40}/videos/000_003.mp4
/// manipulated_sequences/METHOD/masks/videos/000_003.mp4
/// ```
///
/// Copies of others leave out the folders around the methods: `original/000.mp4`,
/// `Deepfakes/000_003.mp4`. Beside `videos` there may be folders of frames, such as `frames/000/0001.png` and `images/000/…`. A
/// fake is called TARGET_SOURCE: both videos are seen in it, and are tied. The splits are the authors'
/// (``FaceForensicsSplits``) where their files are found.
enum FaceForensicsLayout: LayoutReader {
  private static let markers = ["original_sequences", "manipulated_sequences"]
  private static let compressions: Set<String> = ["raw", "c0", "c23", "c40"]
  /// What a path says.
  struct Place {
    var isFake: Bool
    /// youtube, actors or the method.
    var group: String
    var compression: String?
    /// The folder below the compression: videos, frames, …
    var folder: String
    /// Of the video.
    var name: String
  }

  /// The folders of copies that have no others around them.
  private static let groups = [
    "original": false, "deepfakes": true, "face2face": true, "faceswap": true,
    "neuraltextures": true, "faceshifter": true, "deepfakedetection": true,
  ]

  static func evidence(in input: LayoutInput) -> BytePath? {
    // In copies the names must be right too.
    var seen: [Bool: BytePath] = [:]
    for path in input.files {
      let parts = path.components
      // Folders called real and fake around it say more.
      func isAround(_ folders: ArraySlice<[UInt8]>) -> Bool {
        folders.contains { FolderRole($0)?.isFake != nil }
      }
      if let marker = marker(parts), marker + 2 < parts.count, !isAround(parts[..<marker]) {
        return path
      }
      if let group = group(parts), !isAround(parts[..<group]), !LayoutFiles.isBeside(path),
        let kind = input.mediaKind(path), let place = place(parts, kind),
        PeopleNames.faceForensics(place.name)?.count == (place.isFake ? 2 : 1)
      {
        seen[place.isFake] = seen[place.isFake] ?? path
      }
    }
    return seen.count == 2 ? seen[true] : nil
  }

  private static func marker(_ parts: [[UInt8]]) -> Int? {
    parts.dropLast().firstIndex { markers.contains(LayoutFiles.lower($0)) }
  }

  private static func group(_ parts: [[UInt8]]) -> Int? {
    parts.dropLast().firstIndex { groups[LayoutFiles.lower($0)] != nil }
  }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    var reading = LayoutReading(kind: .faceforensics)
    var places: [(path: BytePath, kind: PackCandidate.Kind, place: Place)] = []
    var (beside, strays, others): ([BytePath], [BytePath], [BytePath]) = ([], [], [])
    for path in input.files {
      let parts = path.components
      if isBeside(parts) {
        beside.append(path)
      } else if let kind = input.mediaKind(path) {
        if let place = place(parts, kind) {
          places.append((path, kind, place))
        } else {
          strays.append(path)
        }
      } else {
        others.append(path)
      }
    }
    guard !places.isEmpty else {
      throw input.refusal(
        "nothing in original_sequences/ and manipulated_sequences/METHOD/ as FaceForensics++ has"
          + " them; there are \(input.files.isEmpty ? "no files" : LayoutFiles.describe(input.files))"
      )
    }
    try choose(&places, &reading, input)
    try requireOneForm(places, input)
    try split(places, &reading, input)
    LayoutNotes.add(beside: beside, others: others, to: &reading)
    try LayoutNotes.refuse(
      strays: strays, input, expected: "original_sequences/ and manipulated_sequences/METHOD/")
    return reading
  }

  /// What the download script fetches beside the data set: the whole videos of YouTube.
  private static let downloads: Set<String> = ["downloaded_videos", "downloaded_videos_info"]

  private static func isBeside(_ parts: [[UInt8]]) -> Bool {
    if parts.dropLast().contains(where: { downloads.contains(LayoutFiles.lower($0)) }) {
      return true
    }
    guard let marker = marker(parts) ?? group(parts) else { return false }
    return parts[(marker + 1)...].dropLast().contains { LayoutFiles.isBeside(folder: $0) }
  }

  private static func place(_ parts: [[UInt8]], _ kind: PackCandidate.Kind) -> Place? {
    let isFake: Bool
    var group = "youtube"
    var rest: ArraySlice<[UInt8]>
    var compression: String?
    func takeCompression() {
      guard compression == nil, rest.count > 1, let first = rest.first.map(LayoutFiles.lower),
        compressions.contains(first)
      else { return }
      rest.removeFirst()
      compression = first
    }
    if let marker = marker(parts) {
      isFake = LayoutFiles.lower(parts[marker]) == markers[1]
      rest = parts[(marker + 1)...]
      takeCompression()
      if compression == nil {
        guard rest.count > 1 else { return nil }
        group = LayoutFiles.text(rest.removeFirst())
        takeCompression()
      } else if isFake {
        return nil
      }
    } else if let index = Self.group(parts) {
      isFake = groups[LayoutFiles.lower(parts[index])]!
      if isFake { group = LayoutFiles.text(parts[index]) }
      rest = parts[(index + 1)...]
      takeCompression()
    } else {
      return nil
    }
    // A folder called as a video holds its frames; others say in which form the videos are.
    let isOfFrames = kind == .image && rest.count == 2 && isVideo(rest.first!)
    let folder = rest.count > 1 && !isOfFrames ? LayoutFiles.text(rest.removeFirst()) : ""
    guard let file = rest.last else { return nil }
    var name = LayoutFiles.stem(file)
    if rest.count > 1 {
      // A folder a video, or folders of videos.
      if kind == .image { name = rest.first! }
    } else if kind == .image {
      name = videoOfFrame(name)
    }
    return Place(
      isFake: isFake, group: group, compression: compression, folder: folder,
      name: LayoutFiles.text(name))
  }

  private static func isVideo(_ name: [UInt8]) -> Bool {
    let text = LayoutFiles.text(name)
    return PeopleNames.faceForensics(text) != nil || PeopleNames.deepFakeDetection(text) != nil
  }

  /// The video of a frame that lies beside others': `000_003_0001` is of `000_003`.
  private static func videoOfFrame(_ stem: [UInt8]) -> [UInt8] {
    guard let video = FrameNames.video(of: stem), isVideo(video) else { return stem }
    // 000_003 alone is a pair.
    return PeopleNames.faceForensics(LayoutFiles.text(stem)) != nil ? stem : video
  }

  /// Keeps one compression, or refuses to choose among several: where reals and fakes are compressed
  /// differently a detector learns that.
  private static func choose(
    _ places: inout [(path: BytePath, kind: PackCandidate.Kind, place: Place)],
    _ reading: inout LayoutReading, _ input: LayoutInput
  ) throws {
    var counts: [String: Int] = [:]
    for place in places { counts[place.place.compression ?? "", default: 0] += 1 }
    let named = counts.keys.filter { !$0.isEmpty }.sorted()
    let words = named.map { "\($0) (\(counts[$0]!) files)" }.joined(separator: " and ")
    guard let wanted = input.compression, wanted != "all" else {
      if named.count > 1, input.compression == nil {
        throw input.refusal(
          "there are several compressions, \(words): choose one with --compression \(named[0]), or"
            + " take all with --compression all")
      }
      return
    }
    guard counts[wanted] != nil else {
      throw PackError.usage(
        "--compression \(wanted): \(input.folder) has "
          + (named.isEmpty ? "no folders that name one" : words))
    }
    let others = places.filter { $0.place.compression != nil && $0.place.compression != wanted }
    places.removeAll { $0.place.compression != nil && $0.place.compression != wanted }
    if !others.isEmpty {
      reading.notes.append(
        "--compression \(wanted): \(others.count) files of other compressions left out, such as"
          + " \(others[0].path)")
    }
    let kept = Set(places.map { $0.place.group })
    let lost = Set(others.map { $0.place.group }).subtracting(kept).sorted()
    if !lost.isEmpty {
      reading.notes.append(
        "\(lost.joined(separator: ", ")): nothing of compression \(wanted) is there")
    }
  }

  /// A video that is there as a video and as frames would be packed twice.
  private static func requireOneForm(
    _ places: [(path: BytePath, kind: PackCandidate.Kind, place: Place)], _ input: LayoutInput
  ) throws {
    var seen: [String: (folder: String, path: BytePath)] = [:]
    for (path, _, place) in places {
      let key = "\(place.isFake)/\(place.group)/\(place.compression ?? "")/\(place.name)"
      guard let first = seen[key] else {
        seen[key] = (place.folder, path)
        continue
      }
      guard first.folder != place.folder else { continue }
      throw input.refusal(
        "\(place.name) of \(place.group) is there twice, as \(first.path) and \(path): leave one out"
          + " with --skip '*/\(place.folder)/*' or --skip '*/\(first.folder)/*'")
    }
  }

  private static func split(
    _ places: [(path: BytePath, kind: PackCandidate.Kind, place: Place)],
    _ reading: inout LayoutReading, _ input: LayoutInput
  ) throws {
    let official = try FaceForensicsSplits(input)
    var unlisted: [BytePath] = []
    for (path, kind, place) in places {
      var entry = LayoutEntry(
        path: path, kind: kind, method: place.isFake ? place.group : nil, source: place.name)
      let videos = PeopleNames.faceForensics(place.name)
      if let videos {
        reading.shows[place.name] = videos.map { "YouTube \($0)" }
      } else {
        reading.shows[place.name] = PeopleNames.people(in: place.name)
      }
      if let official {
        entry.split = videos.flatMap { official.split(of: $0) }
        if entry.split == nil { unlisted.append(path) }
      }
      reading.entries.append(entry)
    }
    guard let official else { return }
    guard unlisted.count < reading.entries.count else {
      throw input.refusal(
        "\(official.name) name none of the videos, such as \(unlisted[0]); without those files the"
          + " videos are dealt out by --split")
    }
    reading.splitsBy = official.name
    reading.isOfficial = true
    reading.notes.append("the splits are those of \(official.name)")
    if !unlisted.isEmpty {
      reading.entries.removeAll { $0.split == nil }
      reading.notes.append(
        "\(LayoutFiles.sample(unlisted)): in none of \(official.name), left out; pack them by"
          + " themselves (--input), or without those files, which deals all out by --split")
    }
  }
}
