/// One image that `pack` is to read.
struct PackCandidate: Equatable {
  /// Relative to the input folder.
  var path: BytePath
  /// 0 for real images, else the method's place in ``PackLayout/methods``.
  var method: Int
  /// The source's place in ``PackLayout/sources``.
  var source: Int
  /// The split's place in ``PackLayout/splits``, if a folder says it.
  var split: Int?

  var isFake: Bool { method > 0 }
}

/// What the folders say about the images in them:
///
/// ```
/// [SPLIT/]real/[SOURCE/…/]FILE
/// [SPLIT/]fake/METHOD/[SOURCE/…/]FILE
/// ```
///
/// SPLIT is `train`, `validation` (or `val`) or `test`. The source, which is the video or person an
/// image comes from, is the folder below `real` or METHOD, else the file's name without its last
/// extension; the same name means the same source, in both classes. Without method folders, all fakes
/// are of the method "fake".
struct PackLayout {
  /// Entry 0 is "real".
  private(set) var methods: [String] = ["real"]
  private(set) var sources: [String] = []
  /// Splits named by folders; empty if there are none.
  private(set) var splits: [String] = []
  /// Sorted by path.
  private(set) var candidates: [PackCandidate] = []
  /// What was passed over and why, one line each.
  private(set) var notes: [String] = []

  private static let splitNames = [
    "train": "train", "validation": "validation", "val": "validation", "test": "test",
  ]
  private static let splitOrder = ["train", "validation", "test"]

  private struct Place {
    var path: BytePath
    var split: String?
    var isFake: Bool
    /// Below `real` or `fake`.
    var rest: [[UInt8]]
  }

  /// `files` are relative to `folder`, which only messages use.
  init(files: [BytePath], folder: String) throws {
    var places: [Place] = []
    var strays: [BytePath] = []
    for path in files {
      var parts = path.components[...]
      let split = Self.splitNames[BytePath.printable(parts.first ?? [])]
      if split != nil { parts = parts.dropFirst() }
      let kind = BytePath.printable(parts.first ?? [])
      guard kind == "real" || kind == "fake", parts.count >= 2 else {
        strays.append(path)
        continue
      }
      places.append(
        Place(
          path: path, split: split, isFake: kind == "fake", rest: Array(parts.dropFirst())))
    }
    guard !places.isEmpty else {
      throw PackError.badData(
        "\(folder): no images in real/ or fake/METHOD/ (or in train/real/, train/fake/METHOD/, …);"
          + " lay them out that way")
    }
    if let first = strays.first {
      let others = strays.count > 1 ? " and \(strays.count - 1) more files" : ""
      notes.append("\(first)\(others): outside real/ and fake/; passed over")
    }
    if let with = places.first(where: { $0.split != nil }),
      let without = places.first(where: { $0.split == nil })
    {
      throw PackError.badData(
        "\(folder): \(with.path) is in a split's folder and \(without.path) is not;"
          + " move all images into train/, validation/ and test/, or none")
    }
    splits = Self.splitOrder.filter { name in places.contains { $0.split == name } }

    let withoutMethod = places.filter { $0.isFake && $0.rest.count == 1 }
    if let stray = withoutMethod.first, places.contains(where: { $0.isFake && $0.rest.count > 1 }) {
      throw PackError.badData(
        "\(folder): \(stray.path) lies directly in fake/, others in fake/METHOD/;"
          + " move it into the folder of the method that made it")
    }

    var methodNames = Set<String>()
    for place in places where place.isFake {
      methodNames.insert(place.rest.count > 1 ? BytePath.printable(place.rest[0]) : "fake")
    }
    guard !methodNames.contains("real") else {
      throw PackError.badData(
        "\(folder): fake/real/ names a method \"real\", which is what real images are called;"
          + " rename it")
    }
    methods += methodNames.sorted()
    guard methods.count <= 256 else {
      throw PackError.badData(
        "\(folder): \(methods.count - 1) methods; a shard can hold 255 at most")
    }
    let methodIndex = Dictionary(uniqueKeysWithValues: methods.enumerated().map { ($1, $0) })
    var sourceIndex: [String: Int] = [:]
    for place in places {
      let inside = place.isFake && place.rest.count > 1 ? place.rest.dropFirst() : place.rest[...]
      let name = inside.count > 1 ? inside.first! : Self.stem(inside.first!)
      let text = BytePath.printable(name)
      let source = sourceIndex[text] ?? sources.count
      if source == sources.count {
        sourceIndex[text] = source
        sources.append(text)
      }
      let method =
        place.isFake
        ? methodIndex[place.rest.count > 1 ? BytePath.printable(place.rest[0]) : "fake"]! : 0
      candidates.append(
        PackCandidate(
          path: place.path, method: method, source: source,
          split: place.split.flatMap { splits.firstIndex(of: $0) }))
    }
    try requireBothClasses(folder: folder)
  }

  private func requireBothClasses(folder: String) throws {
    for isFake in [false, true] where !candidates.contains(where: { $0.isFake == isFake }) {
      throw PackError.badData(
        "\(folder): no \(isFake ? "fake" : "real") images; put them into"
          + " \(isFake ? "fake/METHOD/" : "real/")")
    }
  }

  private static func stem(_ name: [UInt8]) -> [UInt8] {
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return name }
    return Array(name[..<dot])
  }
}
