import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct FolderListingTests {
  private let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  private func link(_ name: String, to target: String) throws {
    let path = folder.path + "/" + name
    try FileManager.default.createDirectory(
      atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
  }

  private func listing(_ name: String = "") throws -> FolderListing {
    try FolderListing(of: BytePath(folder.path + (name.isEmpty ? "" : "/" + name)))
  }

  private func names(_ listing: FolderListing) -> [String] { listing.files.map(\.description) }

  @Test func linksToFilesAndFoldersAreFollowedAndThoseOutOfTheFolderSaid() throws {
    for name in ["store/a", "store/b", "store/more/c", "in/real/own.png"] {
      try folder.write(name, [1])
    }
    try link("in/real/a.png", to: "../../store/a")
    try link("in/real/b.png", to: folder.path + "/store/b")
    try link("in/real/same.png", to: "own.png")
    try link("in/fake", to: "../store/more")
    let listing = try listing("in")
    #expect(
      names(listing) == ["fake/c", "real/a.png", "real/b.png", "real/own.png", "real/same.png"])
    let note = try #require(listing.notes.first)
    #expect(listing.notes.count == 1 && listing.losses.isEmpty)
    #expect(note.hasSuffix(": 3 links out of the folder; what they lead to is read"))
    #expect(note.contains("/in/real/a.png (" + (folder.path as NSString).resolvingSymlinksInPath))
  }

  @Test func loopsEndAtOnceAndGiveNothingTwice() throws {
    try folder.write("in/real/v0/0.png", [1])
    try folder.write("in/fake/swap/v1/0.png", [1])
    for (name, target) in [
      ("real/v0/up", ".."), ("real/self", "self"), ("fake/a", "b"), ("fake/b", "a"),
      ("real/gone.png", "nowhere.png"), ("fake/out", "../.."), ("fake/root", "/"),
      ("real/top", "../../in"), ("again", "real"),
    ] {
      try link("in/" + name, to: target)
    }
    // Two ways into each of thirty folders: a billion paths to the last.
    for depth in 0..<30 {
      try folder.write("deep/\(depth)/x.png", [1])
      for name in ["a", "b"] {
        try link("deep/\(depth)/\(name)", to: "../\(depth == 29 ? 0 : depth + 1)")
      }
    }
    try link("in/real/deep", to: "../../deep/0")
    let listing = try listing("in")
    #expect(names(listing).count == 32)
    #expect(
      names(listing).filter { !$0.contains("deep") } == [
        "fake/swap/v1/0.png", "real/v0/0.png",
      ])
    let losses = listing.losses.joined(separator: "\n")
    #expect(losses.contains("/real/gone.png (nowhere.png)"))
    #expect(losses.contains("4 links that lead nowhere; passed over"))
    #expect(losses.contains("links to folders above themselves; not followed"))
    #expect(losses.contains("/in/again (" + folder.path + "/in/real)"))
    #expect(listing.notes.allSatisfy { $0.utf8.count < 2000 })
  }

  @Test func whatOtherProgramsLeaveIsNotReadButCounted() throws {
    for name in [
      "real/a.png", "real/._a.png", "real/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "real/Thumbs.db",
      "__MACOSX/real/._a.png", "real/.ipynb_checkpoints/a.png", "#recycle/b.png", ".DS_Store",
      "real/.thumbnails/a.png", "real/thumbs.png",
    ] {
      try folder.write(name, [1])
    }
    let listing = try listing()
    #expect(names(listing) == ["real/a.png", "real/thumbs.png"])
    #expect(listing.notes.count == 1)
    #expect(
      listing.notes[0].hasSuffix(" and 5 more: 8 hidden, or left by other programs; not read"))
    #expect(listing.losses.isEmpty)
  }

  @Test func pipesAreNotOpened() throws {
    try folder.write("real/a.png", [1])
    #expect(mkfifo(folder.path + "/real/pipe", 0o600) == 0)
    let listing = try listing()
    #expect(names(listing) == ["real/a.png"])
    #expect(
      listing.losses.first?.hasSuffix("/real/pipe: neither a file nor a folder; passed over")
        == true)
  }

  @Test func manyOfAKindAreOneLine() throws {
    for index in 0..<500 { try link("real/\(index).png", to: "/nowhere/\(index)") }
    let notes = try listing().notes
    #expect(notes.count == 1 && notes[0].contains("and 497 more: 500 links that lead nowhere"))
  }
}
