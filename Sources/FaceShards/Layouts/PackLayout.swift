import Foundations

/// What a layout says about the files of a data set, ready to be split and packed: classes, methods,
/// sources, groups of sources, and splits where something says them.
struct PackLayout {
  let kind: LayoutKind
  /// Entry 0 is "real".
  private(set) var methods: [String] = ["real"]
  private(set) var sources: [String] = []
  /// Of every source the number of its group; the sources of a group are for one split.
  private(set) var groups: [Int] = []
  /// Splits that the layout says, in their usual order; empty if there are none.
  private(set) var splits: [String] = []
  /// What says the splits, in words; nil where nothing does.
  let splitsBy: String?
  /// Whether that are the authors of the data set.
  let isOfficial: Bool
  /// Sorted by path.
  private(set) var candidates: [PackCandidate] = []
  /// What was passed over and why, and what was read in another way than by its name, one line each.
  private(set) var notes: [String] = []
  /// Whether names of files made several of them one source, or several sources one group.
  private(set) var isGrouped = false

  /// Throws ``PackError`` with what is wrong and what the input looks like.
  init(_ input: LayoutInput) throws {
    var reading = try LayoutKind.reading(of: input)
    kind = reading.kind
    splitsBy = reading.splitsBy
    isOfficial = reading.isOfficial
    notes = reading.notes
    isGrouped = reading.isGrouped
    reading.entries.sort { $0.path < $1.path }
    if reading.isOfficial, let root = input.root,
      let gone = ExactDuplicates.remove(from: &reading.entries, root: root, defaultSplit: "train")
    {
      notes.append(
        "\(gone.count) files are the same as one that is further from training, such as \(gone.first)"
          + " and \(gone.other): they are left out")
    }
    try requireBothClasses(reading.entries, input)
    splits = FolderRole.splits.filter { name in reading.entries.contains { $0.split == name } }
    try nameMethods(reading.entries, input)
    nameSources(reading, input)
    if let masks = input.masks { try findMasks(in: masks, input) }
  }

  /// - Parameters:
  ///   - files: relative to `folder`.
  ///   - folder: only messages use it.
  ///   - groups: whether frames of a video and the halves of a pair are told from names.
  init(files: [BytePath], folder: String, groups: Bool = true) throws {
    var input = LayoutInput(files: files, folder: folder)
    input.groups = groups
    try self.init(input)
  }

  private func requireBothClasses(_ entries: [LayoutEntry], _ input: LayoutInput) throws {
    for isFake in [false, true] where !entries.contains(where: { ($0.method != nil) == isFake }) {
      let place =
        kind == .folders ? "; put them into \(isFake ? "fake/METHOD/" : "real/")" : ""
      let there =
        entries.isEmpty
        ? "nothing is taken; the folder has \(LayoutFiles.describe(input.files))"
        : "there are \(LayoutFiles.describe(entries.map(\.path)))"
      throw input.refusal("no \(isFake ? "fake" : "real") images\(place); \(there)")
    }
  }

  private mutating func nameMethods(_ entries: [LayoutEntry], _ input: LayoutInput) throws {
    let names = Set(entries.compactMap(\.method))
    guard !names.contains("real") else {
      throw input.refusal(
        "a method is called \"real\", which is what real images are called; rename it")
    }
    methods += names.sorted()
    guard methods.count <= 256 else {
      throw input.refusal(
        "\(methods.count - 1) methods, such as \(methods[1]) and \(methods[2]); a shard can hold 255"
          + " at most; the folders in fake/ name the methods, those of videos and people lie below"
          + " them")
    }
  }

  private mutating func nameSources(_ reading: LayoutReading, _ input: LayoutInput) {
    let methodIndex = Dictionary(uniqueKeysWithValues: methods.enumerated().map { ($1, $0) })
    var index: [String: Int] = [:]
    var isReal: [Bool] = []
    // Sources that are more than a file's name, which may be a mere number.
    var isNamed: [Bool] = []
    candidates.reserveCapacity(reading.entries.count)
    for entry in reading.entries {
      let source = index[entry.source] ?? sources.count
      if source == sources.count {
        index[entry.source] = source
        sources.append(entry.source)
        isReal.append(false)
        isNamed.append(false)
      }
      if entry.method == nil { isReal[source] = true }
      if entry.isNamed { isNamed[source] = true }
      candidates.append(
        PackCandidate(
          path: entry.path, kind: entry.kind,
          method: entry.method.map { methodIndex[$0]! } ?? 0, source: source, split: entry.split))
    }
    groups = Array(sources.indices)
    if input.groups {
      let ties = SourceGroups(
        sources: sources, isReal: isReal, shows: sources.map { reading.shows[$0] ?? [] },
        guesses: reading.guessesTies)
      groups = ties.groups
      if let note = ties.note {
        isGrouped = true
        notes.append(note)
      }
    }
    noteCrossings(isNamed)
  }

  /// Sources that are put into several splits: whoever said so wins, and it is told.
  private mutating func noteCrossings(_ isNamed: [Bool]) {
    guard splits.count > 1 || isOfficial else { return }
    // What no official split names is for training.
    var splitsOf: [Int: Set<String>] = [:]
    for candidate in candidates where isNamed[candidate.source] {
      splitsOf[groups[candidate.source], default: []].insert(candidate.split ?? "train")
    }
    let crossing = splitsOf.filter { $0.value.count > 1 }
    guard let first = crossing.keys.min() else { return }
    let members = candidates.filter { groups[$0.source] == first }
    let other = members.first { ($0.split ?? "train") != (members[0].split ?? "train") }!
    let tied = Set(
      candidates.filter { [groups] in crossing[groups[$0.source]] != nil }.map(\.source)
    ).count
    notes.append(
      crossing.count == tied
        ? "\(crossing.count) sources are in several splits, such as \(members[0].path) and"
          + " \(other.path): a detector is then tested on faces that it has learnt"
        : "\(crossing.count) sources are in several splits, such as \(members[0].path) and"
          + " \(other.path) (\(tied) sources that show the same people): a detector is then tested on faces"
          + " that it has learnt")
    if isOfficial, let splitsBy { notes[notes.count - 1] += "; \(splitsBy) says so" }
  }

  private mutating func findMasks(in folder: String, _ input: LayoutInput) throws {
    var masks = try MaskFinder(folder: folder, input: input.realRoot)
    for index in candidates.indices where candidates[index].isFake {
      let candidate = candidates[index]
      candidates[index].mask = try masks.mask(
        of: candidate.path, kind: candidate.kind, method: methods[candidate.method])
    }
    notes.append(try masks.summary())
  }
}
