import Foundations

/// Where a file belongs by the names of its folders. Files of one folder share what is told of it, so that
/// millions fit into memory.
struct FolderPlace {
  private(set) var path: BytePath
  var split: String?
  var isFake: Bool
  var isNumbered: Bool
  /// Folders above the class that are not a split's.
  var prefix: [[UInt8]] = []
  /// What sources are told apart by beside their names.
  var scope: [UInt8] = []
  /// Those below the class's folder.
  var folders: [[UInt8]]
  /// Which of the path's folders names the class, and which the split, if another does.
  var classIndex: Int
  var splitIndex: Int?

  var name: [UInt8] {
    path.bytes.lastIndex(of: 47).map { Array(path.bytes[($0 + 1)...]) } ?? path.bytes
  }

  /// Below the class's folder.
  var rest: [[UInt8]] { folders + [name] }

  /// The place of another file if it is in the same folder.
  func sibling(_ other: BytePath) -> FolderPlace? {
    func folder(_ path: BytePath) -> ArraySlice<UInt8> {
      path.bytes[..<(path.bytes.lastIndex(of: 47) ?? 0)]
    }
    guard folder(other) == folder(path) else { return nil }
    var place = self
    place.path = other
    return place
  }

  /// Keeps what is the same in `other` once.
  mutating func share(_ other: FolderPlace) {
    if folders == other.folders { folders = other.folders }
    if scope == other.scope { scope = other.scope }
  }

  /// What the names of folders say, looked up once each.
  struct RoleCache {
    private var known: [[UInt8]: FolderRole?] = [:]

    mutating func role(_ name: [UInt8]) -> FolderRole? {
      if let role = known[name] { return role }
      let role = FolderRole(name)
      known[name] = .some(role)
      return role
    }
  }

  /// Where a file belongs by its folders; nil if they don't say its class.
  /// Throws ``PackError`` if they contradict each other.
  init?(_ path: BytePath, _ roles: inout RoleCache, _ folder: String) throws {
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
        "\(folder): \(path) lies in \(LayoutFiles.text(parts[found]))/\(LayoutFiles.text(parts[found + 1]))/, which says both"
          + " real and fake; rename it")
    }
    self.path = path
    split = role.split
    isFake = role.isFake!
    isNumbered = role.isNumbered
    folders = Array(parts[(found + 1)...].dropLast())
    classIndex = found
    for index in 0..<found {
      guard let above = named[index], let name = above.split, above.isFake == nil else {
        prefix.append(parts[index])
        continue
      }
      guard split == nil || split == name else {
        throw PackError.badData(
          "\(folder): \(path) lies in folders of two splits, \(split!) and \(name);"
            + " move it into one")
      }
      split = name
      splitIndex = index
    }
  }
}
