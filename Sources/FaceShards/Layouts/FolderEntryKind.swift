import Foundation
import Foundations
import Images

/// What a file is likely to be, for telling what `pack` does not take: images that are left out are a
/// loss, notes are not.
enum FolderEntryKind: Equatable {
  case image, video, other

  private static let images: Set<String> = [
    "jpg", "jpeg", "jpe", "jfif", "png", "ppm", "pgm", "pbm", "pnm", "bmp", "dib", "gif", "tif",
    "tiff", "webp", "avif", "heic", "heif", "jxl", "jp2",
  ]
  private static let videos: Set<String> = [
    "mp4", "m4v", "avi", "mov", "mkv", "webm", "mpg", "mpeg", "wmv", "flv", "3gp", "mts",
  ]
  private static let others: Set<String> = [
    "txt", "md", "rst", "csv", "tsv", "json", "jsonl", "yaml", "yml", "xml", "html", "htm", "pdf",
    "npy", "npz", "pkl", "pickle", "mat", "pt", "pth", "h5", "hdf5", "parquet", "zip", "tar", "gz",
    "tgz", "xz", "7z", "rar", "py", "ipynb", "sh", "log", "lock", "sha256", "md5", "doc", "docx",
    "xls", "xlsx", "db", "sqlite", "wav", "mp3", "srt", "bak", "tmp", "part",
  ]

  /// By its name; nil if that says nothing.
  init?(name: [UInt8]) {
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return nil }
    let ending = String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased()
    if Self.images.contains(ending) {
      self = .image
    } else if Self.videos.contains(ending) {
      self = .video
    } else if Self.others.contains(ending) {
      self = .other
    } else {
      return nil
    }
  }

  /// By its name, else by its first bytes.
  init(of path: BytePath) {
    if let known = FolderEntryKind(name: path.components.last ?? []) {
      self = known
      return
    }
    var bytes = [UInt8](repeating: 0, count: 32)
    // Without blocking, should something have put a pipe in its place.
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else {
      self = .other
      return
    }
    defer { close(descriptor) }
    let count = max(0, bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress!, $0.count) })
    self = bytes.withUnsafeBytes { raw in
      switch ImageFormat(of: UnsafeRawBufferPointer(rebasing: raw[..<count])) {
      case .empty, .other(nil): .other
      default: .image
      }
    }
  }
}
