import HierarchicalData

/// What is known of a validated shard without opening it again.
struct ShardFacts: Sendable {
  /// What a shard may have beside its images.
  struct Contents: OptionSet, Sendable {
    let rawValue: UInt64
    static let sources = Contents(rawValue: 1)
    static let paths = Contents(rawValue: 2)
    static let masks = Contents(rawValue: 4)
    static let frames = Contents(rawValue: 8)
    static let boxes = Contents(rawValue: 16)
    static let landmarks = Contents(rawValue: 32)
  }

  var path: String
  var count: Int
  var height: Int
  var width: Int
  /// Entry 0 is "real".
  var methodNames: [String]
  var contents: Contents
  var preprocessing: String?
  /// Images, and masks, that are unpacked to read one of them.
  var imagesUnpackedTogether: Int
  var masksUnpackedTogether: Int
  /// Whether the file's masks have a last axis of 1.
  var masksHaveFourAxes: Bool
  /// What the type of the masks says of their values; `nil` where the values decide.
  var scaleOfType: MaskScale?
  var stored: StoredFile
}

/// A file, and where in it images and masks lie.
struct StoredFile: Sendable {
  var checked: CheckedFile
  /// `nil` where the library must read them.
  var images: StoredRows?
  var masks: StoredRows?
}

/// The datasets of a shard that the library has open.
struct ShardDatasets {
  var images: HDF5Dataset
  var masks: HDF5Dataset?
  var sources: HDF5Dataset?
  var paths: HDF5Dataset?
  var frames: HDF5Dataset?
  var boxes: HDF5Dataset?
  var landmarks: HDF5Dataset?

  init(_ file: borrowing HDF5File) throws {
    func optional(_ name: String, chunkCache: Int? = nil) throws -> HDF5Dataset? {
      try file.hasDataset(name) ? try file.dataset(name, chunkCache: chunkCache) : nil
    }
    // The library's chunks would be kept beside ours, for every open shard.
    images = try file.dataset("images", chunkCache: 0)
    masks = try optional("masks", chunkCache: 0)
    sources = try optional("sources")
    paths = try optional("paths")
    frames = try optional("frames")
    boxes = try optional("boxes")
    landmarks = try optional("landmarks")
  }

  var contents: ShardFacts.Contents {
    var contents: ShardFacts.Contents = []
    for (dataset, content) in [
      (sources, .sources), (paths, .paths), (masks, .masks), (frames, .frames), (boxes, .boxes),
      (landmarks, .landmarks),
    ] as [(HDF5Dataset?, ShardFacts.Contents)] where dataset != nil {
      contents.insert(content)
    }
    return contents
  }
}
