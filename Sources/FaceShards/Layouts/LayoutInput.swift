import Foundation
import Foundations

/// What a layout is read from: names of files, what the user said, and the texts of a data set's
/// authors.
struct LayoutInput {
  /// Relative to the input folder, sorted.
  let files: [BytePath]
  /// The input folder, for messages.
  let folder: String
  /// The input folder, to open files in it; nil where there are only names.
  var root: BytePath?
  var layout = LayoutKind.auto
  /// Whether names tell frames of a video and sources that show the same people.
  var groups = true
  /// Folder with the split files of the data set's authors.
  var officialSplits: String?
  var masks: String?
  var mapping: String?
  var list: String?
  var compression: String?
  /// What a file is that a layout has no place for.
  var kind: (BytePath) -> FolderEntryKind = {
    FolderEntryKind(name: $0.components.last ?? []) ?? .other
  }

  init(files: [BytePath], folder: String) {
    self.files = files
    self.folder = folder
  }

  init(files: [BytePath], settings: PackSettings) {
    self.init(files: files, folder: settings.input)
    let root = BytePath(settings.input)
    self.root = root
    layout = settings.layout
    groups = settings.groups
    officialSplits = settings.officialSplits
    masks = settings.masks
    mapping = settings.mapping
    list = settings.list
    compression = settings.compression
    kind = { FolderEntryKind(of: root.appending($0.bytes)) }
  }

  func refusal(_ text: String) -> PackError { .badData("\(folder): \(text)") }

  /// Whether a file is an image or a video by its name or, where that says nothing, its contents.
  func mediaKind(_ path: BytePath) -> PackCandidate.Kind? {
    switch FolderEntryKind(name: path.components.last ?? []) ?? kind(path) {
    case .image: .image
    case .video: .video
    case .other: nil
    }
  }

  /// The input folder's whole path without links; nil where there are only names.
  var realRoot: BytePath? { root.flatMap(LayoutText.realPath) }

  /// A text of the data set's authors.
  struct Document {
    /// As the user may open it.
    let path: BytePath
    /// Relative to the input folder; nil if it lies elsewhere.
    let relative: BytePath?

    var name: [UInt8] { path.components.last ?? [] }

    /// Throws ``PackError`` if it can't be read or is larger than `limit` bytes.
    func read(limit: Int) throws -> [UInt8] { try LayoutText.read(path, limit: limit) }
  }

  /// The texts that may say splits and labels: those in the folder of official splits if one is
  /// given, else those below the input.
  func documents(_ isWanted: (BytePath) -> Bool) throws -> [Document] {
    if let officialSplits {
      let other = BytePath(officialSplits)
      return try FolderListing(of: other).files.filter(isWanted).map {
        Document(path: other.appending($0.bytes), relative: nil)
      }
    }
    guard let root else { return [] }
    return files.filter(isWanted).map {
      Document(path: root.appending($0.bytes), relative: $0)
    }
  }

  static func hasEnding(_ ending: String) -> (BytePath) -> Bool {
    {
      let name = $0.components.last ?? []
      return name.count > ending.utf8.count + 1
        && LayoutFiles.lower(Array(name.suffix(ending.utf8.count + 1))) == "." + ending
    }
  }
}
