import Foundations

/// Which sources show the same people, told from their names, so that they come into one split.
///
/// FaceForensics++ calls a fake `000_003` that puts the face of video 003 into video 000: it is tied to
/// both, and they to each other. A name counts as such a pair if both of its halves are real sources,
/// or if the same pair is there the other way round; once most names of fakes are pairs, the others of
/// that form are pairs as well.
struct SourceGroups {
  /// Of every source the number of its group: the place of the group's first source.
  private(set) var groups: [Int]
  /// A source that is a pair and its halves, for a remark.
  private(set) var example: (pair: String, halves: (String, String))?
  /// How many sources are in groups of several.
  private(set) var tiedSources = 0
  /// How many such groups there are.
  private(set) var tiedGroups = 0

  /// - Parameters:
  ///   - sources: their names.
  ///   - isReal: whether real images are of the source; others are of fakes only.
  init(sources: [String], isReal: [Bool]) {
    groups = Array(sources.indices)
    var real: [Substring: Int] = [:]
    var fakes = Set<String>()
    for (index, name) in sources.enumerated() {
      if isReal[index] { real[name[...]] = index } else { fakes.insert(name) }
    }
    var pairs: [(source: Int, first: Substring, second: Substring)] = []
    var likely: [(source: Int, first: Substring, second: Substring)] = []
    for (index, name) in sources.enumerated() where !isReal[index] {
      let halves = Self.halves(name)
      if let (first, second, _) = halves.first(where: { first, second, separator in
        first != second
          && (real[first] != nil && real[second] != nil
            || fakes.contains(String(second + separator + first)))
      }) {
        pairs.append((index, first, second))
      } else if halves.count == 1, halves[0].first != halves[0].second {
        likely.append((index, halves[0].first, halves[0].second))
      }
    }
    guard let seen = pairs.first else { return }
    example = (sources[seen.source], (String(seen.first), String(seen.second)))
    if pairs.count >= likely.count { pairs += likely }

    // The halves tie whatever has them, also where no source is called so.
    var parent = groups
    func root(_ index: Int) -> Int {
      var index = index
      while parent[index] != index {
        parent[index] = parent[parent[index]]
        index = parent[index]
      }
      return index
    }
    func tie(_ one: Int, _ other: Int) {
      let (one, other) = (root(one), root(other))
      // The first is the group's number.
      parent[max(one, other)] = min(one, other)
    }
    var holder = real
    for (source, first, second) in pairs {
      for half in [first, second] {
        if let other = holder[half] { tie(source, other) } else { holder[half] = source }
      }
    }
    groups = groups.map(root)
    var sizes: [Int: Int] = [:]
    for group in groups { sizes[group, default: 0] += 1 }
    tiedGroups = sizes.values.filter { $0 > 1 }.count
    tiedSources = sizes.values.filter { $0 > 1 }.reduce(0, +)
  }

  /// Every way to read a name as two with a separator between them.
  private static func halves(_ name: String) -> [(
    first: Substring, second: Substring, separator: Substring
  )] {
    let bytes = name.utf8
    var found: [(first: Substring, second: Substring, separator: Substring)] = []
    var index = bytes.startIndex
    while index != bytes.endIndex {
      var end = bytes.index(after: index)
      guard bytes[index] == UInt8(ascii: "_") || bytes[index] == UInt8(ascii: "-") else {
        index = end
        continue
      }
      while end != bytes.endIndex, bytes[end] == bytes[index] { end = bytes.index(after: end) }
      if index != bytes.startIndex, end != bytes.endIndex {
        found.append((name[..<index], name[end...], name[index..<end]))
      }
      index = end
    }
    return found
  }
}

/// Frames of videos that lie together in one folder, told from their names: `VIDEO_0001.png`,
/// `VIDEO-f0001.png`.
struct FrameNames {
  /// Names of the videos.
  private(set) var videos: Set<[UInt8]> = []
  /// Names that are made of two sources' (see ``SourceGroups``): the second is no number.
  private var pairs: Set<[UInt8]> = []
  /// A file that is a frame, and one that might be.
  private(set) var example: BytePath?
  private(set) var doubtful: BytePath?
  /// How many files are frames.
  private(set) var count = 0

  /// - Parameters:
  ///   - files: those that lie directly in the folder of a class or method, each with its folder.
  ///   - sources: names of sources that have a folder.
  ///
  /// A folder tells videos apart if two of them have two frames each in it. Where all have one
  /// beginning, as `real_0001.png`, the number may as well be that of a picture: nothing can be said.
  init(files: [(folder: [UInt8], stem: [UInt8], path: BytePath)], sources: Set<[UInt8]>) {
    var frames: [[UInt8]: [[UInt8]: Int]] = [:]
    for file in files {
      guard let video = Self.video(of: file.stem) else { continue }
      frames[file.folder, default: [:]][video, default: 0] += 1
    }
    let names = sources.union(files.map(\.stem))
    for file in files {
      guard let video = Self.video(of: file.stem) else { continue }
      let isAlone = frames[file.folder]![video]! == 1
      let rest = file.stem.dropFirst(video.count).drop { "_-. ".utf8.contains($0) }
      if isAlone, names.contains(video), names.contains(Array(rest)) {
        pairs.insert(file.stem)
      } else if sources.contains(video) {
        videos.insert(video)
      }
    }
    for (_, folder) in frames {
      let several = folder.filter { $0.value > 1 }.keys
      if several.count > 1 { videos.formUnion(several) }
    }
    for file in files {
      if video(showing: file.stem) != nil {
        count += 1
        example = example ?? file.path
      } else if let video = Self.video(of: file.stem), frames[file.folder]![video]! > 1 {
        doubtful = doubtful ?? file.path
      }
    }
  }

  /// The video that a file is a frame of; nil if it is none.
  func video(showing stem: [UInt8]) -> [UInt8]? {
    guard !videos.isEmpty, let video = Self.video(of: stem), videos.contains(video),
      !pairs.contains(stem)
    else { return nil }
    return video
  }

  /// The video that a stem names if it is a frame's: what comes before the last number and what
  /// separates the two.
  static func video(of stem: [UInt8]) -> [UInt8]? {
    func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    func isSeparator(_ byte: UInt8) -> Bool { "_-. ".utf8.contains(byte) }
    var rest = stem[...]
    while let last = rest.last, isDigit(last) { rest.removeLast() }
    guard rest.count < stem.count else { return nil }
    func withoutSeparators(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
      var bytes = bytes
      while let last = bytes.last, isSeparator(last) { bytes.removeLast() }
      return bytes
    }
    let isApart = rest.last.map(isSeparator) ?? false
    let name = withoutSeparators(rest)
    // VIDEO-f0001, VIDEO_frame_0001.
    for word in ["frame", "fr", "f"] {
      let end = Array(name.suffix(word.utf8.count)).map { $0 | 0x20 }
      guard end.elementsEqual(word.utf8) else { continue }
      let before = name.dropLast(word.utf8.count)
      if let last = before.last, isSeparator(last) {
        let video = withoutSeparators(before)
        return video.isEmpty ? nil : Array(video)
      }
    }
    return isApart && !name.isEmpty ? Array(name) : nil
  }
}
