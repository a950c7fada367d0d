import Foundations

/// Which sources show the same people, so that they come into one split.
///
/// What is seen in a source is told by its layout, or by its name (``PeopleNames``). Besides,
/// FaceForensics++ calls a fake `000_003` that puts the face of video 003 into video 000: it is tied to
/// both, and they to each other. A name counts as such a pair if both of its halves are real sources,
/// or if the same pair is there the other way round; once most names of fakes are pairs, the others of
/// that form are pairs as well.
struct SourceGroups {
  /// Of every source the number of its group: the place of the group's first source.
  private(set) var groups: [Int]
  /// A source that is a pair and its halves, for a remark.
  private(set) var example: (pair: String, halves: (String, String))?
  /// Two sources with a person in common, for a remark.
  private(set) var companions: (String, String)?
  /// How many sources are in groups of several.
  private(set) var tiedSources = 0
  /// How many such groups there are.
  private(set) var tiedGroups = 0

  /// What is tied, in one line; nil if nothing is.
  var note: String? {
    let reason =
      if let (pair, halves) = example {
        "\(pair) shows both \(halves.0) and \(halves.1)"
      } else if let (one, other) = companions {
        "\(one) and \(other) show the same people"
      } else {
        nil as String?
      }
    return reason.map {
      "\($0): \(tiedSources) sources are tied into \(tiedGroups) groups, each for one split (--group"
        + " none ties none)"
    }
  }

  /// - Parameters:
  ///   - sources: their names.
  ///   - isReal: whether real images are of the source; others are of fakes only.
  ///   - shows: of every source the people and videos that are seen in it.
  ///   - guesses: whether more is told from names.
  init(sources: [String], isReal: [Bool], shows: [[String]], guesses: Bool) {
    var ties = DisjointSets(count: sources.count)
    var holders: [String: Int] = [:]
    for (source, name) in sources.enumerated() {
      for person in shows[source] + (guesses ? PeopleNames.people(in: name) : []) {
        guard let other = holders[person] else {
          holders[person] = source
          continue
        }
        ties.tie(source, other)
        if other != source { companions = companions ?? (sources[other], name) }
      }
    }
    groups = []
    if guesses { tiePairs(sources, isReal, &ties) }
    groups = ties.roots
    var sizes: [Int: Int] = [:]
    for group in groups { sizes[group, default: 0] += 1 }
    tiedGroups = sizes.values.filter { $0 > 1 }.count
    tiedSources = sizes.values.filter { $0 > 1 }.reduce(0, +)
  }

  private mutating func tiePairs(_ sources: [String], _ isReal: [Bool], _ ties: inout DisjointSets)
  {
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
    var holder = real
    for (source, first, second) in pairs {
      for half in [first, second] {
        if let other = holder[half] { ties.tie(source, other) } else { holder[half] = source }
      }
    }
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
