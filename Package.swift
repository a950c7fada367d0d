// swift-tools-version: 6.1
import PackageDescription

/// libFuzzer without its main function (libclang_rt.fuzzer_no_main), told by launch/fuzz: only then is
/// there a program for fuzzing.
let fuzzer = Context.environment["RFM_FUZZER"]

/// Tests are compiled without optimisation, which is quicker; the code under test keeps its own.
let testSettings: [SwiftSetting] = [.unsafeFlags(["-Onone"])]

/// Each room imports only rooms above it; the C targets are the only code that sees a C library's
/// header.
let package = Package(
  name: "rfm",
  products: [.executable(name: "rfm", targets: ["rfm"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C libraries, each behind a thin shim of its own.
    .systemLibrary(
      name: "OpenMPI", path: "Sources/Libraries/OpenMPI/Headers", pkgConfig: "ompi-c",
      providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(
      name: "HDF5", path: "Sources/Libraries/HDF5/Headers", pkgConfig: "hdf5-serial",
      providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(
      name: "OpenBLAS", path: "Sources/Libraries/OpenBLAS/Headers", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(
      name: "JPEG", path: "Sources/Libraries/JPEG/Headers", pkgConfig: "libjpeg",
      providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(
      name: "PNG", path: "Sources/Libraries/PNG/Headers", pkgConfig: "libpng",
      providers: [.apt(["libpng-dev"])]),
    .systemLibrary(
      name: "OpenSSL", path: "Sources/Libraries/OpenSSL/Headers", pkgConfig: "libcrypto",
      providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
      name: "ZLib", path: "Sources/Libraries/ZLib/Headers", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CZLib", dependencies: ["ZLib"], path: "Sources/Libraries/ZLib/Shim"),
    .target(name: "COpenMPI", dependencies: ["OpenMPI"], path: "Sources/Libraries/OpenMPI/Shim"),
    .target(
      name: "CHDF5", dependencies: ["HDF5", "ZLib"], path: "Sources/Libraries/HDF5/Shim"),
    .target(name: "COpenBLAS", dependencies: ["OpenBLAS"], path: "Sources/Libraries/OpenBLAS/Shim"),
    .target(
      name: "COneDNN", path: "Sources/Libraries/OneDNN/Shim",
      linkerSettings: [.linkedLibrary("dnnl")]),
    .target(name: "CJPEG", dependencies: ["JPEG"], path: "Sources/Libraries/JPEG/Shim"),
    // zlib unpacks texts.
    .target(name: "CPNG", dependencies: ["PNG", "ZLib"], path: "Sources/Libraries/PNG/Shim"),
    .target(name: "CKernels"),
    .target(name: "CAllocations", path: "Sources/Libraries/Linux/Allocations"),
    .target(name: "CHostMemory", path: "Sources/Libraries/Linux/HostMemory"),

    .target(name: "Foundations", dependencies: ["OpenSSL"]),
    .target(name: "MessagePassing", dependencies: ["COpenMPI", "CHostMemory"]),
    .target(name: "HierarchicalData", dependencies: ["CHDF5"]),
    .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS", "COneDNN"]),
    .target(name: "Networks", dependencies: ["Foundations", "Tensors", "CKernels", "CZLib"]),
    .target(name: "ForgeryMining", dependencies: ["CKernels", "Tensors"]),
    .target(
      name: "FaceShards",
      dependencies: ["Foundations", "HierarchicalData", "CJPEG", "CPNG", "Tensors"]),
    .target(
      name: "Training",
      dependencies: [
        "Foundations", "MessagePassing", "HierarchicalData", "Networks", "ForgeryMining",
        "FaceShards",
        "CKernels", "CAllocations",
        .product(name: "Yams", package: "Yams"),
      ]),
    .target(
      name: "Reports",
      dependencies: [
        "Foundations", "MessagePassing", "Tensors", "Networks", "ForgeryMining", "FaceShards",
        "Training",
      ],
      resources: [
        .embedInCode("Resources/report.css"), .embedInCode("Resources/print.css"),
        .embedInCode("Resources/report.js"),
      ]),
    .executableTarget(
      name: "rfm",
      dependencies: [
        "MessagePassing", "Tensors", "Networks", "ForgeryMining", "FaceShards", "Training",
        "Reports",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .testTarget(
      name: "FoundationsTests", dependencies: ["Foundations"], swiftSettings: testSettings),
    .testTarget(
      name: "MessagePassingTests", dependencies: ["MessagePassing"], swiftSettings: testSettings),
    .testTarget(
      name: "HierarchicalDataTests", dependencies: ["HierarchicalData"], swiftSettings: testSettings
    ),
    .testTarget(
      name: "TensorsTests", dependencies: ["Tensors", "COpenBLAS", "COneDNN", "CKernels"],
      swiftSettings: testSettings),
    // Optimised: they draw and sketch every weight of the full Xception.
    .testTarget(
      name: "NetworksTests",
      dependencies: ["Networks", "ForgeryMining", "Training", "Tensors", "CKernels"],
      resources: [.copy("Golden")]),
    .testTarget(
      name: "ForgeryMiningTests", dependencies: ["ForgeryMining"], resources: [.copy("Golden")],
      swiftSettings: testSettings),
    .testTarget(
      name: "FaceShardsTests", dependencies: ["FaceShards"], resources: [.copy("Golden")],
      swiftSettings: testSettings),
    .testTarget(
      name: "TrainingTests", dependencies: ["Training"], resources: [.copy("Golden")],
      swiftSettings: testSettings),
    .testTarget(
      name: "ReportsTests", dependencies: ["Foundations", "Reports", "FaceShards"],
      resources: [.copy("Golden")],
      swiftSettings: testSettings),
    // Every collective and the gradient reduction, checked; IntegrationTests starts it under mpirun.
    .executableTarget(
      name: "mpi-checks", dependencies: ["MessagePassing", "Tensors", "Training"],
      path: "Tests/MPIChecks"),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "Training", "Networks", "FaceShards", "HierarchicalData", "rfm", "mpi-checks",
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: testSettings),
  ],
  swiftLanguageModes: [.v6]
)

if let fuzzer {
  package.targets.append(
    .executableTarget(
      name: "rfm-fuzz", dependencies: ["Foundations", "FaceShards", "Networks", "Training"],
      path: "Tests/Fuzz",
      exclude: ["Dictionaries", "Seeds"],
      linkerSettings: [.unsafeFlags(["-Xlinker", fuzzer]), .linkedLibrary("stdc++")]))
}
