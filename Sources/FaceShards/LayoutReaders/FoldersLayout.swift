import Foundations

/// What the folders say about the files in them:
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
enum FoldersLayout: LayoutReader {
  /// What is expected, for messages.
  static let expected =
    "[SPLIT/]real/[SOURCE/]IMAGE and [SPLIT/]fake/METHOD/[SOURCE/]IMAGE, with train, validation or"
    + " test as SPLIT"

  /// Nothing of its own: it is what is left.
  static func evidence(in input: LayoutInput) -> BytePath? { nil }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    let folder = input.folder
    var roles = FolderPlace.RoleCache()
    var places: [FolderPlace] = []
    var strays: [BytePath] = []
    for path in input.files {
      if let place = try places.last?.sibling(path) ?? FolderPlace(path, &roles, folder) {
        places.append(place)
      } else {
        strays.append(path)
      }
    }
    var reading = LayoutReading(kind: .folders)
    strays += try readPrefixes(&places, &reading.notes, folder)
    try refuse(
      strays, of: input.files, hasPlaces: !places.isEmpty, folder, input.kind, &reading.notes)
    try readSplitsBelow(&places, &roles, &reading.notes, folder)
    reading.notes += try renamings(places, &roles, folder)
    try requireSplitsInAllOrNone(places, folder)
    try checkMethods(places, folder)
    if places.contains(where: { $0.split != nil }) { reading.splitsBy = "the folders" }
    reading.guessesTies = true
    nameSources(places, &reading, groups: input.groups)
    return reading
  }

  /// Makes sense of folders above the classes: a single one around everything, or one a method.
  ///
  /// - Returns: files that are not where the others are.
  private static func readPrefixes(
    _ places: inout [FolderPlace], _ notes: inout [String], _ folder: String
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
    guard isNumbered || hasBoth && places.allSatisfy({ !$0.isFake || $0.folders.isEmpty }) else {
      let (one, other) = (places[0], places.first { $0.prefix != places[0].prefix } ?? places[0])
      throw PackError.badData(
        "\(folder): the folders above real and fake can be read in several ways, such as \(one.path)"
          + " and \(other.path): expected \(expected)")
    }
    let sample = places.first(where: \.isFake) ?? places[0]
    notes.append(
      "the folders above the classes name the methods, as in \(sample.path): "
        + classes.keys.map(LayoutFiles.text).sorted().prefix(5).joined(separator: ", ")
        + (classes.count > 5 ? ", …" : ""))
    for index in places.indices {
      // Numbers start anew in each of these folders.
      places[index].scope = Array(places[index].prefix.joined(separator: [47])) + [47]
      if places[index].isFake { places[index].folders.insert(places[index].prefix[0], at: 0) }
      places[index].prefix = []
      if index > 0 { places[index].share(places[index - 1]) }
    }
    return []
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
            : "there \(files.count == 1 ? "is" : "are") \(LayoutFiles.describe(files))")
          + ": expected \(expected)"
          + (files.isEmpty
            ? "" : "; rename the folders so, or make a folder of links to them (ln -s)"))
    }
    var lost: [BytePath] = []
    var (beside, others): ([BytePath], [BytePath]) = ([], [])
    for path in strays {
      if LayoutFiles.isBeside(path) {
        beside.append(path)
      } else if kind(path) != .other {
        lost.append(path)
      } else {
        others.append(path)
      }
    }
    guard lost.isEmpty else {
      let pattern =
        lost[0].components.count > 1 ? "\(LayoutFiles.text(lost[0].components[0]))/*" : "\(lost[0])"
      throw PackError.badData(
        "\(folder): \(lost.count) of \(files.count) files are images or videos outside real/ and"
          + " fake/: \(LayoutFiles.describe(lost)): expected \(expected); move them there, or leave them out with"
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

  /// Takes splits that lie below the class or the method: `real/train/…`, `fake/METHOD/train/…`.
  private static func readSplitsBelow(
    _ places: inout [FolderPlace], _ roles: inout FolderPlace.RoleCache, _ notes: inout [String],
    _ folder: String
  ) throws {
    guard places.allSatisfy({ $0.split == nil }) else { return }
    /// The place in `folders` of one that is called like a split, and which.
    func below(_ place: FolderPlace) -> (index: Int, split: String)? {
      for index in 0..<(place.isFake ? 2 : 1) where index < place.folders.count {
        if let role = roles.role(place.folders[index]), role.isFake == nil, let split = role.split {
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
        places[index].folders.remove(at: at)
        if index > 0 { places[index].share(places[index - 1]) }
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
    _ places: [FolderPlace], _ roles: inout FolderPlace.RoleCache, _ folder: String
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
      let sorted = set.map { LayoutFiles.text($0) + "/" }.sorted()
      throw PackError.badData(
        "\(folder): \(sorted.prefix(3).joined(separator: " and ")) both mean \(key.meaning)/;"
          + " put their images together, or name methods as in fake/METHOD/")
    }
    let changed = read.compactMap { name -> String? in
      guard let role = roles.role(name), LayoutFiles.text(name) != role.canonical else {
        return nil
      }
      return "\(LayoutFiles.text(name))/ as \(role.canonical)/"
    }.sorted()
    return changed.isEmpty ? [] : ["read " + changed.joined(separator: ", ")]
  }

  private static func requireSplitsInAllOrNone(_ places: [FolderPlace], _ folder: String) throws {
    if let with = places.first(where: { $0.split != nil }),
      let without = places.first(where: { $0.split == nil })
    {
      throw PackError.badData(
        "\(folder): \(with.path) is in a split's folder and \(without.path) is not;"
          + " move all images into train/, validation/ and test/, or none")
    }
  }

  // MARK: Methods and sources

  private static func checkMethods(_ places: [FolderPlace], _ folder: String) throws {
    let fakes = places.filter(\.isFake)
    if let stray = fakes.first(where: \.folders.isEmpty),
      fakes.contains(where: { !$0.folders.isEmpty })
    {
      throw PackError.badData(
        "\(folder): \(stray.path) lies directly in fake/, others in fake/METHOD/;"
          + " move it into the folder of the method that made it")
    }
    guard !fakes.contains(where: { method($0) == "real" }) else {
      throw PackError.badData(
        "\(folder): a folder of fakes is called \"real\", which is what real images are called;"
          + " rename it")
    }
    // A method for every video would be learnt, and attributed, as one.
    let realSources = Set(places.filter { !$0.isFake }.compactMap(\.folders.first))
    let mistaken = fakes.filter { $0.folders.first.map(realSources.contains) ?? false }
    if let first = mistaken.first, mistaken.count == fakes.count {
      throw PackError.badData(
        "\(folder): the folders in fake/ are called like sources in real/, as in \(first.path), but"
          + " they name the methods: put them one deeper, into fake/METHOD/")
    }
  }

  private static func method(_ place: FolderPlace) -> String {
    place.folders.first.map(LayoutFiles.text) ?? "fake"
  }

  /// What tells the place's source: below the class, and the method if there is one.
  private static func inside(_ place: FolderPlace) -> ArraySlice<[UInt8]> {
    place.isFake && !place.folders.isEmpty ? place.rest.dropFirst() : place.rest[...]
  }

  private static func nameSources(
    _ places: [FolderPlace], _ reading: inout LayoutReading, groups: Bool
  ) {
    var flat: [FrameNames.File] = []
    var folders = Set<[UInt8]>()
    for place in places {
      let inside = inside(place)
      if inside.count > 1 {
        folders.insert(inside.first!)
      } else if groups, LayoutFiles.kind(of: inside.first!) == .image {
        let folder = Array(place.path.bytes.dropLast(inside.first!.count))
        flat.append((folder, LayoutFiles.stem(inside.first!), place.path))
      }
    }
    let frames = FrameNames(files: flat, sources: folders)
    reading.entries.reserveCapacity(places.count)
    for place in places {
      let inside = inside(place)
      var name = inside.first!
      let kind = LayoutFiles.kind(of: place.name)
      // A video is a source; a number may be any image's.
      var isNamed = true
      if inside.count == 1 {
        name = LayoutFiles.stem(name)
        let video = kind == .image ? frames.video(showing: name) : nil
        isNamed = video != nil || kind == .video
        name = video ?? name
      }
      var source = LayoutFiles.text(place.scope + name)
      // The same text is kept once for what lies together.
      var method = place.isFake ? method(place) : nil
      if let last = reading.entries.last {
        if last.source == source { source = last.source }
        if last.method == method { method = last.method }
      }
      reading.entries.append(
        LayoutEntry(
          path: place.path, kind: kind, method: method, source: source, isNamed: isNamed,
          split: place.split))
    }
    if let note = frames.note {
      reading.isGrouped = true
      reading.notes.append(note)
    } else if reading.splitsBy == nil, let doubtful = frames.doubtful {
      reading.notes.append(
        "files such as \(doubtful) are taken as sources of their own; if they are frames of one"
          + " video, put each video's into a folder")
    }
  }
}
