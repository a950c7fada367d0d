import Foundation
import Testing

@testable import Foundations
@testable import Images

@Suite struct MediaKindTests {
  private static func box(_ brand: String, _ compatible: String...) -> [UInt8] {
    let text = "ftyp" + brand + "\0\0\0\u{1}" + compatible.joined()
    return [0, 0, 0, UInt8(4 + text.utf8.count)] + Array(text.utf8)
  }

  /// The first bytes of files as their programs write them, and what is said of them.
  private static let files: [(bytes: [UInt8], kind: String)] = [
    (box("isom", "isom", "iso2", "avc1", "mp41"), "a video (MP4)"),
    (box("mp42", "isom", "mp42"), "a video (MP4)"), (box("qt  ", "qt  "), "a video (MOV)"),
    ([0, 0, 0, 8] + Array("wide".utf8) + [0, 0, 0, 1] + Array("mdat".utf8), "a video (MOV)"),
    (box("3gp5", "isom"), "a video (3GP)"), (box("M4A ", "mp42"), "a sound recording (M4A)"),
    (
      Array("RIFF".utf8) + [0, 1, 0, 0] + Array("AVI LIST".utf8), "a video (AVI)"
    ),
    (Array("RIFF".utf8) + [0, 1, 0, 0] + Array("WAVEfmt ".utf8), "a sound recording (WAV)"),
    ([0x1A, 0x45, 0xDF, 0xA3, 0x9F, 0x42, 0x82, 0x84] + Array("webm".utf8), "a video (WebM)"),
    ([0x1A, 0x45, 0xDF, 0xA3, 0xA3, 0x42, 0x82, 0x88] + Array("matroska".utf8), "a video (MKV)"),
    ([0, 0, 1, 0xBA, 0x44], "a video (MPEG)"), ([0x46, 0x4C, 0x56, 1, 5], "a video (FLV)"),
    (
      (0..<3).flatMap { _ in [0x47] + [UInt8](repeating: 3, count: 187) }, "a video (MPEG-TS)"
    ),
    ([0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11], "a video (WMV)"),
    (box("avif", "avif", "mif1"), "AVIF"), (box("mif1", "mif1", "avif"), "AVIF"),
    (box("heic", "mif1", "heic"), "HEIC"), (box("mif1", "mif1", "heix"), "HEIC"),
    (box("mif1", "mif1"), "HEIF"), (box("crx ", "crx ", "isom"), "CR3 (raw data of a camera)"),
    ([0xFF, 0x0A, 0xFA, 0x1F], "JPEG XL"),
    (
      [0, 0, 0, 0x0C] + Array("JXL ".utf8) + [0x0D, 0x0A, 0x87, 0x0A] + box("jxl ", "jxl "),
      "JPEG XL"
    ),
    ([0, 0, 0, 0x0C] + Array("jP  ".utf8) + [0x0D, 0x0A, 0x87, 0x0A], "JPEG 2000"),
    ([0xFF, 0x4F, 0xFF, 0x51, 0], "JPEG 2000"), (Array("GIF89a".utf8), "GIF"),
    (Array("BM".utf8) + [54, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0], "BMP"),
    (Array("RIFF".utf8) + [0, 1, 0, 0] + Array("WEBPVP8 ".utf8), "WebP"),
    (Array("II*\0".utf8) + [8, 0, 0, 0, 0, 0], "TIFF"), (Array("MM\0*".utf8), "TIFF"),
    (
      Array("II*\0".utf8) + [16, 0, 0, 0] + Array("CR".utf8) + [2, 0], "CR2 (raw data of a camera)"
    ),
    // A folder of one entry, DNGVersion.
    (
      Array("MM\0*".utf8) + [0, 0, 0, 8, 0, 1, 0xC6, 0x12, 0, 1, 0, 0, 0, 4, 1, 4, 0, 0],
      "DNG (raw data of a camera)"
    ),
    // One entry for the maker and one for the folder with the data.
    (
      Array("II*\0".utf8) + [8, 0, 0, 0, 2, 0]
        + [0x0F, 1, 2, 0, 6, 0, 0, 0, 34, 0, 0, 0, 0x4A, 1, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        + Array("NIKON\0".utf8), "NEF (raw data of a camera)"
    ),
    (Array("8BPS".utf8) + [0, 1, 0, 0], "Photoshop's PSD"),
    (Array("%PDF-1.7\n".utf8), "a PDF document"),
    (Array("<svg xmlns=\"http://www.w3.org/2000/svg\"/>".utf8), "SVG"),
    (Array("<?xml version=\"1.0\"?>\n<!-- x -->\n<svg/>".utf8), "SVG"),
    (Array("<?xml version=\"1.0\"?><plist/>".utf8), "an XML file"),
    ([0xEF, 0xBB, 0xBF] + Array("\r\n <!DOCTYPE html><title>404".utf8), "a web page (HTML)"),
    (Array("<html><body>Sign in".utf8), "a web page (HTML)"),
    (
      Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n".utf8),
      "a pointer of Git LFS"
    ),
    ([0x50, 0x4B, 3, 4, 20, 0], "an archive (ZIP)"), ([0x1F, 0x8B, 8, 0], "an archive (gzip)"),
    ([UInt8](repeating: 65, count: 257) + Array("ustar\0".utf8), "an archive (tar)"),
    ([0x89] + Array("HDF\r\n".utf8) + [0x1A, 0x0A], "an HDF5 file"),
    ([UInt8](repeating: 0, count: 600), "nothing but zeros at its beginning"),
  ]

  @Test(arguments: files.indices) func aFileIsCalledByWhatItIsWhateverItsName(index: Int) throws {
    let (bytes, kind) = Self.files[index]
    let found = bytes.withUnsafeBytes { MediaKind(of: $0) }
    // What can be read is read by its own decoder, which calls a mere beginning damaged.
    if let format = found?.format {
      #expect(format.isReadable && found?.name == kind)
      let error = try #require(throws: ImageError.self) {
        try ImageDecoder.decode(bytes: bytes, name: "face.jpg")
      }
      #expect(error.detail.hasPrefix("damaged \(Self.family(of: kind)): "), "\(error)")
      return
    }
    let error = try #require(throws: ImageError.self) {
      try ImageDecoder.decode(bytes: bytes, name: "face.jpg")
    }
    #expect(error.reason == .notAnImage)
    #expect(error.detail.hasPrefix(kind), "\(error)")
    let isPicture = kind.first?.isUppercase == true
    #expect(error.detail.contains(isPicture ? "convert it to" : "not an image; "), "\(error)")
    #expect(kind.hasSuffix(error.kind), "\(error.kind)")
    // Cut anywhere it is something else perhaps, and nothing is read behind its end.
    for length in 0..<min(bytes.count, 64) {
      let cut = Array(bytes[..<length])
      _ = cut.withUnsafeBytes { MediaKind(of: $0) }
    }
  }

  private static func family(of kind: String) -> String { kind == "HEIC" ? "HEIF" : kind }

  /// Offsets and counts in a TIFF are only claims.
  @Test func numbersThatLeadNowhereAreNotFollowed() {
    for fill in [UInt8(0xFF), 0x7F, 0x80, 0x01] {
      for start in ["II*\0", "MM\0*"] {
        let bytes = Array(start.utf8) + [UInt8](repeating: fill, count: 40)
        #expect(bytes.withUnsafeBytes { MediaKind(of: $0) }?.name == "TIFF")
      }
    }
    let box = [0xFF, 0xFF, 0xFF, 0xFF] + Array("ftypisom".utf8)
    #expect(box.withUnsafeBytes { MediaKind(of: $0) } == nil)
  }

  /// A list of files on standard input is one, whatever words it begins with.
  @Test(arguments: [
    "the wide one.png\n", "/a/bmoov.jpg\n", "BMW.png\nx.png\n", "/a/bftypisom.jpg\n",
  ])
  func namesAreNoMedia(text: String) {
    let lines = text.split(separator: "\n").map { BytePath(String($0)) }
    #expect(StandardInput(Array(text.utf8)) == .list(lines))
  }
}
