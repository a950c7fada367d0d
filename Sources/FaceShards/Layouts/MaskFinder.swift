import Foundations

/// Finds the mask of every fake in a folder of masks: files of the same names, whose folders agree with
/// the fake's as far as they can.
///
/// A mask is an image for an image and a video for a video. Folders that say only where something
/// lies (`masks`, `videos`, `frames`, `c23`, …) don't count, so FaceForensics++'s own tree,
/// `METHOD/masks/videos/000_003.mp4`, fits `METHOD/c23/videos/000_003.mp4`. `NAME_mask.png` is the
/// mask of `NAME.png`.
struct MaskFinder {
  private let folder: String
  private let root: BytePath
  /// By the file's name without ending; with the folders that count.
  private var masks: [[UInt8]: [(path: BytePath, kind: PackCandidate.Kind, folders: [[UInt8]])]] =
    [:]
  private var found = 0
  private var missing: (count: Int, first: BytePath?) = (0, nil)
  /// Fakes whose mask is there in the other form only.
  private var otherKind: (count: Int, first: BytePath?) = (0, nil)
  private var used = Set<BytePath>()
  private var count = 0

  private static let neutral: Set<String> = [
    "mask", "masks", "video", "videos", "frame", "frames", "image", "images", "face", "faces",
    "rgb", "raw", "c0", "c23", "c40", "manipulated_sequences", "fake", "fakes", "train",
    "validation", "val", "test",
  ]

  /// - Parameters:
  ///   - input: the input folder's whole path, whose own files are no masks.
  /// - Throws: ``PackError`` if the folder can't be read or holds no masks.
  init(folder: String, input: BytePath?) throws {
    let listing = try FolderListing(of: BytePath(folder))
    self.folder = folder
    root = BytePath(folder)
    // Where there are folders of masks, other files are none: --masks may name a whole data set.
    let own = listing.files.filter { path in
      path.components.dropLast().contains { ["mask", "masks"].contains(LayoutFiles.lower($0)) }
    }
    let isInput = LayoutText.realPath(root).map { $0 == input } ?? false
    for path in own.isEmpty && !isInput ? listing.files : own {
      guard let kind = FolderEntryKind(name: path.components.last ?? []), kind != .other else {
        continue
      }
      let parts = path.components
      masks[Self.name(parts.last!), default: []].append(
        (path, kind == .video ? .video : .image, Self.folders(parts)))
      count += 1
    }
    guard count > 0 else {
      throw PackError.badData(
        "\(folder): no images or videos that could be masks (--masks)"
          + (isInput ? ", as no folder in it is called masks" : ""))
    }
  }

  /// Without ending, and without "mask" at its end or beginning.
  private static func name(_ file: [UInt8]) -> [UInt8] {
    let stem = LayoutFiles.stem(file)
    let lower = LayoutFiles.lower(stem)
    for ending in ["_mask", "-mask"] where lower.hasSuffix(ending) && stem.count > 5 {
      return Array(stem.dropLast(5))
    }
    for beginning in ["mask_", "mask-"] where lower.hasPrefix(beginning) && stem.count > 5 {
      return Array(stem.dropFirst(5))
    }
    return stem
  }

  private static func folders(_ parts: [[UInt8]]) -> [[UInt8]] {
    parts.dropLast().filter { $0.count > 32 || !neutral.contains(LayoutFiles.lower($0)) }
  }

  /// The whole path of the fake's mask; nil if there is none.
  ///
  /// Throws ``PackError`` if several fit equally well.
  mutating func mask(of path: BytePath, kind: PackCandidate.Kind, method: String) throws
    -> BytePath?
  {
    let parts = path.components
    let folders = Self.folders(parts)
    let all = masks[LayoutFiles.stem(parts.last!)] ?? []
    // How many of the folders are the same, from the file upwards; all of the mask's must be there.
    let isNumber = LayoutFiles.stem(parts.last!).allSatisfy { (48...57).contains($0) }
    var best: (agreement: Int, paths: [BytePath]) = (0, [])
    var isThereOtherwise = false
    for mask in all {
      var agreement = 0
      while agreement < min(folders.count, mask.folders.count),
        folders[folders.count - 1 - agreement]
          == mask.folders[mask.folders.count - 1 - agreement]
      {
        agreement += 1
      }
      // Folders that differ: masks of another method, or a data set's name above.
      let named = mask.folders.map(LayoutFiles.text)
      let isOther =
        agreement < mask.folders.count && agreement < folders.count
        && !named.contains(method) && agreement == 0
      // A frame's number says nothing without its video.
      if isOther && (isNumber || all.count > 1) { continue }
      if isNumber, agreement == 0, !folders.isEmpty, kind == .image { continue }
      guard mask.kind == kind else {
        isThereOtherwise = true
        continue
      }
      if agreement > best.agreement || best.paths.isEmpty {
        best = (agreement, [mask.path])
      } else if agreement == best.agreement {
        best.paths.append(mask.path)
      }
    }
    guard let first = best.paths.first else {
      if isThereOtherwise {
        otherKind = (otherKind.count + 1, otherKind.first ?? path)
      } else {
        missing = (missing.count + 1, missing.first ?? path)
      }
      return nil
    }
    guard best.paths.count == 1 else {
      throw PackError.badData(
        "\(path): both \(root.appending(first.bytes)) and \(root.appending(best.paths[1].bytes)) could"
          + " be its mask (--masks); lay masks out as the fakes are")
    }
    found += 1
    used.insert(first)
    return root.appending(first.bytes)
  }

  /// What was found, in numbers; throws ``PackError`` if nothing was.
  func summary() throws -> String {
    guard found > 0 else {
      throw PackError.badData(
        "\(folder): none of its \(count) masks is of a fake that is packed"
          + (missing.first.map { ", such as \($0)" } ?? otherKind.first.map { ", such as \($0)" }
            ?? "")
          + ": masks are called as the images and videos are (--masks)")
    }
    var text = "\(folder): masks of \(found) fakes found"
    if let first = missing.first { text += "; \(missing.count) have none, such as \(first)" }
    if let first = otherKind.first {
      text +=
        "; \(otherKind.count) have masks only as videos of images or images of videos, such as"
        + " \(first), which are not used"
    }
    if count > used.count { text += "; \(count - used.count) masks are of nothing that is packed" }
    return text
  }
}
