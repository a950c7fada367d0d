import Foundations

/// What the folders say about the images in them:
///
/// ```
/// [SPLIT/]real/[SOURCE/…/]FILE
/// [SPLIT/]fake/METHOD/[SOURCE/…/]FILE
/// ```
///
/// SPLIT is `train`, `validation` or `test`. The source, which is the video or person an image comes
/// from, is the folder below `real` or METHOD, else the file's name without its last extension; the
/// same name means the same source, in both classes. Without method folders, all fakes are of the
/// method "fake".
///
/// Other names of the same meaning are read too and said (``FolderRole``), and so are the split below
/// the class (`real/train/…`), the class below the method (`METHOD/0_real/…`) and folders around all of
/// it. Whatever can be read in two ways, and images that have no place in this, are an error.
///
/// One file, because places, methods and sources are found one from another in tables of its own that
/// nobody else may change.
struct PackLayout {
  /// Entry 0 is "real".
  private(set) var methods: [String] = ["real"]
  private(set) var sources: [String] = []
  /// Of every source the number of its group; the sources of a group are for one split.
  private(set) var groups: [Int] = []
  /// Splits named by folders; empty if there are none.
  private(set) var splits: [String] = []
  /// Sorted by path.
  private(set) var candidates: [PackCandidate] = []
  /// What was passed over and why, and what was read in another way than by its name, one line each.
  private(set) var notes: [String] = []
  /// Whether names of files made several of them one source, or several sources one group.
  private(set) var isGrouped = false

  /// What is expected, for messages.
  static let expected =
    "[SPLIT/]real/[SOURCE/]IMAGE and [SPLIT/]fake/METHOD/[SOURCE/]IMAGE, with train, validation or"
    + " test as SPLIT"

  private struct Place {
    var path: BytePath
    var split: String?
    var isFake: Bool
    var isNumbered: Bool
    /// Folders above the class that are not a split's.
    var prefix: [[UInt8]]
    /// What sources are told apart by beside their names.
    var scope: [UInt8] = []
    /// Below the class's folder.
    var rest: [[UInt8]]
    /// Which of the path's folders names the class, and which the split, if another does.
    var classIndex: Int
    var splitIndex: Int?
  }

  private let folder: String

  /// - Parameters:
  ///   - files: relative to `folder`.
  ///   - folder: only messages use it.
  ///   - groups: whether frames of a video and the halves of a pair are told from names.
  ///   - kind: of a file that has no place in the layout.
  init(
    files: [BytePath], folder: String, groups: Bool = true,
    kind: (BytePath) -> FolderEntryKind = {
      FolderEntryKind(name: $0.components.last ?? []) ?? .other
    }
  ) throws {
    self.folder = folder
    var roles = RoleCache()
    var places: [Place] = []
    var strays: [BytePath] = []
    for path in files {
      if let place = try Self.place(path, &roles, folder) {
        places.append(place)
      } else {
        strays.append(path)
      }
    }
    var lines: [String] = []
    func settle() throws {
      strays += try Self.readPrefixes(&places, &lines, folder)
    }
    do {
      try settle()
      try Self.refuse(strays, of: files, hasPlaces: !places.isEmpty, folder, kind, &lines)
    } catch {
      // A known data set is called by its name, whatever was wrong first.
      guard let other = OtherLayout.description(of: files, in: folder) else { throw error }
      throw PackError.badData("\(folder): \(other)")
    }
    try Self.readSplitsBelow(&places, &roles, &lines, folder)
    notes = lines + (try Self.renamings(places, &roles, folder))
    try requireSplitsInAllOrNone(places)
    splits = FolderRole.splits.filter { name in places.contains { $0.split == name } }
    try nameMethods(places)
    nameSources(places, groups: groups)
    try requireBothClasses()
  }

  // MARK: Places

  /// What the names of folders say, looked up once each.
  private struct RoleCache {
    private var known: [[UInt8]: FolderRole?] = [:]

    mutating func role(_ name: [UInt8]) -> FolderRole? {
      if let role = known[name] { return role }
      let role = FolderRole(name)
      known[name] = .some(role)
      return role
    }
  }

  /// Where a file belongs by its folders; nil if they don't say its class.
  private static func place(
    _ path: BytePath, _ roles: inout RoleCache, _ folder: String
  ) throws -> Place? {
    let parts = path.components
    let named = parts.dropLast().map { roles.role($0) }
    func first(_ isWanted: (FolderRole) -> Bool) -> Int? {
      named.firstIndex { $0.map { $0.isFake != nil && isWanted($0) } ?? false }
    }
    // A method may be called deepfakes, as in deepfakes/0_real: the plainest word counts.
    guard let found = first({ $0.isNumbered }) ?? first({ $0.isExact }) ?? first({ _ in true })
    else { return nil }
    let role = named[found]!
    if found + 1 < named.count, let below = named[found + 1], let isFake = below.isFake,
      isFake != role.isFake
    {
      throw PackError.badData(
        "\(folder): \(path) lies in \(text(parts[found]))/\(text(parts[found + 1]))/, which says both"
          + " real and fake; rename it")
    }
    var place = Place(
      path: path, split: role.split, isFake: role.isFake!, isNumbered: role.isNumbered, prefix: [],
      rest: Array(parts[(found + 1)...]), classIndex: found)
    for index in 0..<found {
      guard let above = named[index], let split = above.split, above.isFake == nil else {
        place.prefix.append(parts[index])
        continue
      }
      guard place.split == nil || place.split == split else {
        throw PackError.badData(
          "\(folder): \(path) lies in folders of two splits, \(place.split!) and \(split);"
            + " move it into one")
      }
      place.split = split
      place.splitIndex = index
    }
    return place
  }

  /// Makes sense of folders above the classes: a single one around everything, or one a method.
  ///
  /// - Returns: files that are not where the others are.
  private static func readPrefixes(
    _ places: inout [Place], _ notes: inout [String], _ folder: String
  ) throws -> [BytePath] {
    let prefixes = Set(places.map(\.prefix))
    guard prefixes.contains(where: { !$0.isEmpty }) else { return [] }
    if prefixes.contains([]) {
      let strays = places.filter { !$0.prefix.isEmpty }.map(\.path)
      places.removeAll { !$0.prefix.isEmpty }
      return strays
    }
    var classes: [[UInt8]: Set<Bool>] = [:]
    for place in places { classes[place.prefix[0], default: []].insert(place.isFake) }
    let isNumbered = places.allSatisfy(\.isNumbered)
    if prefixes.count == 1, !isNumbered {
      let around = BytePath(bytes: Array(places[0].prefix.joined(separator: [47])))
      notes.append("all images lie in \(around)/, which says nothing; read as if from there")
      for index in places.indices { places[index].prefix = [] }
      return []
    }
    let hasBoth = classes.values.allSatisfy { $0.count == 2 }
    guard isNumbered || hasBoth && places.allSatisfy({ !$0.isFake || $0.rest.count == 1 }) else {
      let (one, other) = (places[0], places.first { $0.prefix != places[0].prefix } ?? places[0])
      throw PackError.badData(
        "\(folder): the folders above real and fake can be read in several ways, such as \(one.path)"
          + " and \(other.path): expected \(expected)")
    }
    let sample = places.first(where: \.isFake) ?? places[0]
    notes.append(
      "the folders above the classes name the methods, as in \(sample.path): "
        + classes.keys.map(text).sorted().prefix(5).joined(separator: ", ")
        + (classes.count > 5 ? ", …" : ""))
    for index in places.indices {
      // Numbers start anew in each of these folders.
      places[index].scope = Array(places[index].prefix.joined(separator: [47])) + [47]
      if places[index].isFake { places[index].rest.insert(places[index].prefix[0], at: 0) }
      places[index].prefix = []
    }
    return []
  }

  private static let sideWords: Set<String> = [
    "mask", "masks", "thumbnail", "thumbnails", "thumb", "thumbs", "preview", "previews",
    "landmark", "landmarks",
  ]

  /// Whether a folder's name says that the file goes with images but is none to be packed.
  static func isBeside(_ path: BytePath) -> Bool {
    path.components.dropLast().contains {
      sideWords.contains(String(decoding: $0, as: UTF8.self).lowercased())
    }
  }

  /// Refuses what would be lost, and notes what need not be packed.
  private static func refuse(
    _ strays: [BytePath], of files: [BytePath], hasPlaces: Bool, _ folder: String,
    _ kind: (BytePath) -> FolderEntryKind, _ notes: inout [String]
  ) throws {
    guard hasPlaces else {
      throw PackError.badData(
        "\(folder): no images in real/ or fake/METHOD/; "
          + (files.isEmpty
            ? "there are no files in it"
            : "there \(files.count == 1 ? "is" : "are") \(describe(files))")
          + ": expected \(expected)"
          + (files.isEmpty
            ? "" : "; rename the folders so, or make a folder of links to them (ln -s)"))
    }
    var lost: [BytePath] = []
    var (beside, others): ([BytePath], [BytePath]) = ([], [])
    for path in strays {
      if isBeside(path) {
        beside.append(path)
      } else if kind(path) != .other {
        lost.append(path)
      } else {
        others.append(path)
      }
    }
    guard lost.isEmpty else {
      let pattern = lost[0].components.count > 1 ? "\(text(lost[0].components[0]))/*" : "\(lost[0])"
      throw PackError.badData(
        "\(folder): \(lost.count) of \(files.count) files are images or videos outside real/ and"
          + " fake/: \(describe(lost)): expected \(expected); move them there, or leave them out with"
          + " --skip '\(pattern)'")
    }
    if let first = beside.first {
      let more = beside.count > 1 ? " and \(beside.count - 1) more files" : ""
      notes.append("\(first)\(more): masks, thumbnails or landmarks by their folder; passed over")
    }
    if let first = others.first {
      let more = others.count > 1 ? " and \(others.count - 1) more files" : ""
      notes.append("\(first)\(more): outside real/ and fake/; passed over")
    }
  }

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

  /// Takes splits that lie below the class or the method: `real/train/…`, `fake/METHOD/train/…`.
  private static func readSplitsBelow(
    _ places: inout [Place], _ roles: inout RoleCache, _ notes: inout [String], _ folder: String
  ) throws {
    guard places.allSatisfy({ $0.split == nil }) else { return }
    /// The place in `rest` of a folder that is called like a split, and which.
    func below(_ place: Place) -> (index: Int, split: String)? {
      for index in 0..<(place.isFake ? 2 : 1) where index + 1 < place.rest.count {
        if let role = roles.role(place.rest[index]), role.isFake == nil, let split = role.split {
          return (index, split)
        }
      }
      return nil
    }
    let found = places.map(below)
    let distinct = Set(found.compactMap { $0?.split })
    // One name alone may be a person's.
    guard distinct.count > 1 || !distinct.isEmpty && found.allSatisfy({ $0 != nil }) else { return }
    guard let without = found.firstIndex(where: { $0 == nil }) else {
      notes.append("splits are read from below the classes, as in \(places[0].path)")
      for index in places.indices {
        let (at, split) = found[index]!
        places[index].split = split
        places[index].rest.remove(at: at)
      }
      return
    }
    let with = found.firstIndex { $0 != nil }!
    throw PackError.badData(
      "\(folder): \(places[with].path) is in a split's folder and \(places[without].path) is not;"
        + " move all images into train/, validation/ and test/, or none, and rename folders of"
        + " sources that are called so")
  }

  /// Remarks on folders that are read as if called otherwise.
  private static func renamings(
    _ places: [Place], _ roles: inout RoleCache, _ folder: String
  ) throws -> [String] {
    struct Key: Hashable {
      var parent: [[UInt8]]
      var meaning: String
    }
    var names: [Key: Set<[UInt8]>] = [:]
    var read = Set<[UInt8]>()
    for place in places {
      let parts = place.path.components
      // Two folders beside one another that mean the same may well mean different things.
      for index in [place.splitIndex, place.classIndex].compactMap({ $0 }) {
        let key = Key(
          parent: Array(parts[..<index]), meaning: roles.role(parts[index])!.canonical)
        names[key, default: []].insert(parts[index])
        read.insert(parts[index])
      }
    }
    for (key, set) in names.sorted(by: { $0.key.meaning < $1.key.meaning }) where set.count > 1 {
      let sorted = set.map { text($0) + "/" }.sorted()
      throw PackError.badData(
        "\(folder): \(sorted.prefix(3).joined(separator: " and ")) both mean \(key.meaning)/;"
          + " put their images together, or name methods as in fake/METHOD/")
    }
    let changed = read.compactMap { name -> String? in
      guard let role = roles.role(name), text(name) != role.canonical else { return nil }
      return "\(text(name))/ as \(role.canonical)/"
    }.sorted()
    return changed.isEmpty ? [] : ["read " + changed.joined(separator: ", ")]
  }

  private func requireSplitsInAllOrNone(_ places: [Place]) throws {
    if let with = places.first(where: { $0.split != nil }),
      let without = places.first(where: { $0.split == nil })
    {
      throw PackError.badData(
        "\(folder): \(with.path) is in a split's folder and \(without.path) is not;"
          + " move all images into train/, validation/ and test/, or none")
    }
  }

  // MARK: Methods and sources

  private mutating func nameMethods(_ places: [Place]) throws {
    let fakes = places.filter(\.isFake)
    if let stray = fakes.first(where: { $0.rest.count == 1 }),
      fakes.contains(where: { $0.rest.count > 1 })
    {
      throw PackError.badData(
        "\(folder): \(stray.path) lies directly in fake/, others in fake/METHOD/;"
          + " move it into the folder of the method that made it")
    }
    var names = Set<String>()
    for place in fakes { names.insert(Self.method(place)) }
    guard !names.contains("real") else {
      throw PackError.badData(
        "\(folder): a folder of fakes is called \"real\", which is what real images are called;"
          + " rename it")
    }
    // A method for every video would be learnt, and attributed, as one.
    let realSources = Set(places.filter { !$0.isFake && $0.rest.count > 1 }.map { $0.rest[0] })
    let mistaken = fakes.filter { $0.rest.count > 1 && realSources.contains($0.rest[0]) }
    if let first = mistaken.first, mistaken.count == fakes.count {
      throw PackError.badData(
        "\(folder): the folders in fake/ are called like sources in real/, as in \(first.path), but"
          + " they name the methods: put them one deeper, into fake/METHOD/")
    }
    methods += names.sorted()
    guard methods.count <= 256 else {
      throw PackError.badData(
        "\(folder): \(methods.count - 1) methods, such as \(methods[1]) and \(methods[2]); a shard"
          + " can hold 255 at most; the folders in fake/ name the methods, those of videos and people"
          + " lie below them")
    }
  }

  private static func method(_ place: Place) -> String {
    place.rest.count > 1 ? text(place.rest[0]) : "fake"
  }

  /// What tells the place's source: below the class, and the method if there is one.
  private static func inside(_ place: Place) -> ArraySlice<[UInt8]> {
    place.isFake && place.rest.count > 1 ? place.rest.dropFirst() : place.rest[...]
  }

  private mutating func nameSources(_ places: [Place], groups: Bool) {
    var flat: [(folder: [UInt8], stem: [UInt8], path: BytePath)] = []
    var folders = Set<[UInt8]>()
    // Sources that are more than a file's name, which may be a mere number.
    var named = Set<String>()
    for place in places {
      let inside = Self.inside(place)
      if inside.count > 1 {
        folders.insert(inside.first!)
        named.insert(Self.text(place.scope + inside.first!))
      } else if groups {
        let folder = Array(place.path.bytes.dropLast(inside.first!.count))
        flat.append((folder, Self.stem(inside.first!), place.path))
      }
    }
    let frames = FrameNames(files: flat, sources: folders)
    var index: [[UInt8]: Int] = [:]
    var isReal: [Bool] = []
    let methodIndex = Dictionary(uniqueKeysWithValues: methods.enumerated().map { ($1, $0) })
    for place in places {
      let inside = Self.inside(place)
      var name = inside.first!
      if inside.count == 1 {
        name = Self.stem(name)
        name = frames.video(showing: name) ?? name
      }
      name = place.scope + name
      let source = index[name] ?? sources.count
      if source == sources.count {
        index[name] = source
        sources.append(Self.text(name))
        isReal.append(false)
      }
      if !place.isFake { isReal[source] = true }
      candidates.append(
        PackCandidate(
          path: place.path, method: place.isFake ? methodIndex[Self.method(place)]! : 0,
          source: source, split: place.split.flatMap { splits.firstIndex(of: $0) }))
    }
    if let example = frames.example {
      isGrouped = true
      notes.append(
        "\(frames.count) files are named as frames of \(frames.videos.count) videos, such as"
          + " \(example): each video is one source (--group none takes every file as its own)")
    } else if splits.isEmpty, let doubtful = frames.doubtful {
      notes.append(
        "files such as \(doubtful) are taken as sources of their own; if they are frames of one video,"
          + " put each video's into a folder")
    }
    self.groups = Array(sources.indices)
    named.formUnion(frames.videos.map(Self.text))
    guard groups else { return noteCrossings(named) }
    let ties = SourceGroups(sources: sources, isReal: isReal)
    self.groups = ties.groups
    if let (pair, halves) = ties.example {
      isGrouped = true
      notes.append(
        "\(pair) shows both \(halves.0) and \(halves.1): \(ties.tiedSources) sources are tied into"
          + " \(ties.tiedGroups) groups, each for one split (--group none ties none)")
    }
    noteCrossings(named)
  }

  /// Sources that folders put into several splits: the folders win, and it is said.
  private mutating func noteCrossings(_ named: Set<String>) {
    guard splits.count > 1 else { return }
    var splitsOf: [Int: Set<Int>] = [:]
    for candidate in candidates where named.contains(sources[candidate.source]) {
      splitsOf[groups[candidate.source], default: []].insert(candidate.split!)
    }
    let crossing = splitsOf.filter { $0.value.count > 1 }
    guard let first = crossing.keys.min() else { return }
    let members = candidates.filter { groups[$0.source] == first }
    let other = members.first { $0.split != members[0].split }!
    notes.append(
      "\(crossing.count) sources are in several splits, such as \(members[0].path) and"
        + " \(other.path): a detector is then tested on faces that it has learnt")
  }

  private func requireBothClasses() throws {
    for isFake in [false, true] where !candidates.contains(where: { $0.isFake == isFake }) {
      throw PackError.badData(
        "\(folder): no \(isFake ? "fake" : "real") images; put them into"
          + " \(isFake ? "fake/METHOD/" : "real/"); there are \(Self.describe(candidates.map(\.path)))"
      )
    }
  }

  private static func text(_ name: [UInt8]) -> String { BytePath.printable(name) }

  private static func stem(_ name: [UInt8]) -> [UInt8] {
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return name }
    return Array(name[..<dot])
  }
}
