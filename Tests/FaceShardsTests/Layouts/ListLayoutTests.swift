import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct ListLayoutTests {
  private static let files = [
    "a/r1.png", "a/r2.png", "b/f1.png", "b/f 2.png", "v/clip.mp4", "frames/vidA/0001.png",
    "frames/vidA/0002.png", "frames/vidB/0001.png",
  ]

  private func set(_ list: String, name: String = "list.csv") throws -> LayoutFixture {
    let set = try LayoutFixture(Self.files, texts: [name: list])
    set.settings.list = set.folder(name)
    return set
  }

  @Test(arguments: [
    "path,label,method,source,split\na/r1.png,real,,p1,train\nb/f1.png,fake,swap,p2,val\n",
    "Split;Label;File;Manipulation;Identity\ntrain;0;a/r1.png;;p1\nval;1;b/f1.png;swap;p2",
    "a/r1.png\treal\t\tp1\ttrain\r\nb/f1.png\tfake\tswap\tp2\tval\r\n",
    "\u{FEFF}# mine\npath label method source split\n\na/r1.png REAL - p1 training\n./b//f1.png FAKE swap p2 valid\n",
    "path,label,method,source,split\n\"a/r1.png\",\"real\",\"\",\"p1\",\"train\"\nb\\f1.png,1,swap,p2,dev",
  ])
  func aTableInAnyFormIsRead(list: String) throws {
    let layout = try set(list).layout()
    #expect(
      LayoutFixture.words(layout) == [
        "a/r1.png": "train real p1", "b/f1.png": "validation swap p2",
      ])
    #expect(layout.kind == .list && layout.splits == ["train", "validation"])
    #expect(layout.notes.contains { $0.contains("images and videos that") })
  }

  @Test func sourcesAreToldFromNamesWhereTheListSaysNone() throws {
    let layout = try set(
      """
      a/r1.png 0
      a/r2.png 0
      "b/f 2.png" 1
      v/clip.mp4 1
      frames/vidA 0
      """, name: "list.txt"
    ).layout()
    #expect(
      LayoutFixture.words(layout) == [
        "a/r1.png": "- real r1", "a/r2.png": "- real r2", "b/f 2.png": "- fake f 2",
        "v/clip.mp4": "- fake clip", "frames/vidA/0001.png": "- real vidA",
        "frames/vidA/0002.png": "- real vidA",
      ])
    #expect(layout.candidates.filter { $0.kind == .video }.map { "\($0.path)" } == ["v/clip.mp4"])
    // Which class is which is said.
    #expect(
      layout.notes.contains { $0.contains("label 0 is read as real and 1 as fake, as in line 1") })
  }

  @Test func numberedFramesAreOfTheirFolder() throws {
    let layout = try set(
      "frames/vidA/0001.png,real\nframes/vidA/0002.png,real\nframes/vidB/0001.png,fake"
    ).layout()
    #expect(layout.sources == ["vidA", "vidB"])
    #expect(layout.isGrouped)
  }

  @Test func wholePathsBelowTheInputAreRead() throws {
    let set = try LayoutFixture(Self.files)
    try set.folder.write(
      "list.csv", Array("\(set.folder.path)/a/r1.png,real\nb/f1.png,fake".utf8))
    set.settings.list = set.folder("list.csv")
    #expect(try set.read().count == 2)
  }

  @Test(arguments: [
    ("a/r1.png,real\nb/f1.png,maybe", "line 2: the label maybe is none of real, fake"),
    ("a/r1.png,real\nb/f1.png", "line 2: has no path or no label"),
    ("a/r1.png,real\n../b/f1.png,fake", "line 2: ../b/f1.png leads out of"),
    ("a/r1.png,real\n/etc/passwd,fake", "line 2: /etc/passwd leads out of"),
    ("a/r1.png,real\n\"b/f1.png,fake", "line 2: a quote is not closed"),
    ("a/r1.png,real\n\"b\"x,fake", "line 2: there is text behind a closing quote"),
    ("a/r1.png,real,,,train\nb/f1.png,fake,,,", "line 2 names no split, line 1 does"),
    ("a/r1.png,real\nb/f1.png,fake,m\nv/clip.mp4,fake", "line 3 names no method, line 2 does"),
    ("a/r1.png,real\nb/f1.png,fake,m,,soon", "line 2: the split soon is none of train"),
    ("a/r1.png,real\na/r1.png,fake", "line 2: a/r1.png is in line 1 too"),
    ("x.png,real\ny.png,fake", "none of its files is below"),
    ("path,kind\na/r1.png,real", "line 1: no column is called label"),
    ("path,label,class\na/r1.png,real,x", "line 1: two columns could be the label"),
    ("", "names no files"), ("path,label\n", "names no files"),
    ("a/r1.png,real\nb/f1.png,fake,real", "a method is called \"real\""),
  ])
  func aWrongRowIsNamed(list: String, part: String) throws {
    let text = try set(list).refusal()
    #expect(text.contains(part), "\(text)")
  }

  @Test func missingAndRepeatedFilesAreCounted() throws {
    let notes = try set(
      "a/r1.png,real\nb/f1.png,fake\nb/gone.png,fake\na/r1.png,real"
    ).layout().notes
    #expect(notes.contains { $0.contains("1 of 4 rows name files that are not there") })
    #expect(notes.contains { $0.contains("b/gone.png in line 3") })
    #expect(notes.contains { $0.contains("1 rows name a file again") })
  }

  @Test func aFileOfTwoSplitsIsNotTrainedOn() throws {
    let set = try set(
      """
      path,label,split
      a/r1.png,real,train
      a/r1.png,real,test
      b/f1.png,fake,test
      b/f1.png,fake,train
      a/r2.png,real,train
      v/clip.mp4,fake,train
      """)
    let layout = try set.layout()
    let words = LayoutFixture.words(layout)
    #expect(words["a/r1.png"] == "test real r1" && words["b/f1.png"] == "test fake f1")
    #expect(layout.notes.contains { $0.contains("2 files are listed in several splits") })
  }

  @Test func aListAtTheTopIsRecognised() throws {
    let set = try LayoutFixture(
      Self.files, texts: ["labels.csv": "path,label\na/r1.png,real\nb/f1.png,fake\n"])
    let layout = try set.layout()
    #expect(layout.kind == .list && layout.candidates.count == 2)
    #expect(layout.notes[0].contains("read as list"))
    // Folders that say the classes win.
    let folders = try LayoutFixture(
      ["real/a.png", "fake/b.png"], texts: ["labels.csv": "path,label\nreal/a.png,1\n"])
    #expect(try folders.layout().kind == .folders)
  }

  @Test func noListIsAnErrorThatSaysHowToGiveOne() throws {
    let set = try LayoutFixture(Self.files)
    set.settings.layout = .list
    let error = try #require(throws: PackError.self) { try set.layout() }
    #expect(error.exitStatus == .usage && error.description.contains("--list FILE"))
    set.settings.list = set.folder("nothing.csv")
    #expect(throws: PackError.self) { try set.layout() }
    set.settings.layout = .dfdc
    #expect(throws: PackError.self) { try set.layout() }
  }
}
